// @stable-canvas/comfyui-client: draws by its socket and by polling, edits, and is refused.
"use strict"

const { Client } = require("@stable-canvas/comfyui-client")
const WebSocket = require("ws")

const [, , url, token, graphs] = process.argv
const { drawn, edited, unknown } = JSON.parse(require("node:fs").readFileSync(graphs, "utf8"))

const Authorization = `Bearer ${token}`
class Socket extends WebSocket {
    constructor(address) {
        super(address, { headers: { Authorization } })
    }
}
const withToken = (address, options = {}) =>
    fetch(address, { ...options, headers: { ...options.headers, Authorization } })

async function main() {
    const client = new Client({ api_host: url.split("://")[1], WebSocket: Socket, fetch: withToken })
    await client.connect()
    const found = { samplers: await client.getSamplers(), models: await client.getSDModels() }
    found.drawn = await client.enqueue(drawn, {})
    found.polled = await client.enqueue_polling(drawn, { polling_ms: 20 })
    found.edited = await client.enqueue(edited, {})
    found.unknown = await client.enqueue(unknown, {}).catch((error) => ({ status: error.status, told: error.json }))
    found.history = (await client.getHistory()).History.length
    client.close()
    process.stdout.write(JSON.stringify(found))
    process.exit(0)
}

main().catch((error) => {
    console.error(error)
    process.exit(1)
})
