// @saintno/comfyui-sdk: draws, edits, is refused, and is interrupted.
"use strict"

const { CallWrapper, ComfyApi, PromptBuilder } = require("@saintno/comfyui-sdk")

const [, , url, token, graphs] = process.argv
const { drawn, edited, unknown, stopped, image } = JSON.parse(require("node:fs").readFileSync(graphs, "utf8"))

const builder = (graph) => {
    const found = new PromptBuilder(graph, [], ["images"])
    found.setOutputNode("images", "9")
    return found
}

const run = (api, graph) =>
    new Promise((resolve) => {
        new CallWrapper(api, builder(graph))
            .onFinished((data) => resolve({ images: data.images.images }))
            .onFailed((error) => resolve({ error: error.name, cause: error.cause ?? null }))
            .run()
    })

async function main() {
    const api = await new ComfyApi(url, "saintno-of-the-tests", {
        credentials: { type: "bearer_token", token },
    })
        .init()
        .waitForReady()
    const found = { os: api.osType ?? "", checkpoints: await api.getCheckpoints() }
    found.drawn = await run(api, drawn)
    found.bytes = (await (await api.getImage(found.drawn.images[0])).arrayBuffer()).byteLength
    const kept = await api.uploadImage(Buffer.from(image, "base64"), "saintno.png")
    found.uploaded = kept.info.filename
    found.edited = await run(api, edited)
    found.unknown = await run(api, unknown)
    const stopping = run(api, stopped)
    while ((await api.getQueue()).queue_running.length === 0) await new Promise((next) => setImmediate(next))
    await api.interrupt()
    await fetch(`${process.env.API}/fake/permits/saintno/30`, { method: "POST", headers: { Authorization: `Bearer ${token}` } })
    found.stopped = await stopping
    process.stdout.write(JSON.stringify(found))
    process.exit(0)
}

main().catch((error) => {
    console.error(error)
    process.exit(1)
})
