// npm `openai` against the server: node openai_client.cjs URL IMAGE
"use strict"

const { OpenAI, toFile } = require("openai")
const { url, image, givenUp, whileFull, timesDrawn, tell } = require("./steering.cjs")

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused" })
const told = ({ status, code, param, message }) => ({ status, code, param, message })
const failing = (asked) => asked.then(() => null, told)

async function main() {
    const found = {}
    const drawn = await client.images.generate({ prompt: "node apple", size: "128x64", n: 2, seed: 7 })
    found.drawn = { size: drawn.size, images: drawn.data.map((item) => item.b64_json.slice(0, 8)), usage: drawn.usage }
    const edited = await client.images.edit({
        image: await toFile(image, "apple.png", { type: "image/png" }),
        mask: await toFile(image, "mask.png", { type: "image/png" }),
        prompt: "node edit",
        model: "gpt-image-1",
    })
    found.edited = { size: edited.size, model: edited.model }
    const types = []
    const stream = await client.images.generate({ prompt: "previews", size: "64x64", stream: true, partial_images: 2 })
    for await (const event of stream) types.push(event.type)
    found.streamed = types
    found.wrong = await failing(client.images.generate({ prompt: "apple", size: "large" }))
    found.failed = await failing(client.images.generate({ prompt: "fail: crash", size: "64x64" }))
    found.paid = await failing(client.images.generate({ prompt: "fail: upstream", size: "64x64" }))
    found.timesPaid = await timesDrawn("fail: upstream")
    found.givenUp = await givenUp("node-openai", (prompt, signal) =>
        client.images.generate({ prompt, size: "64x64" }, { signal }),
    )
    const full = await whileFull("node-openai-full", (maxRetries) =>
        client.images.generate({ prompt: "node one too many", size: "64x64" }, { maxRetries }),
    )
    found.full = { status: full.status, wait: Number(full.headers.get("retry-after")) }
    found.timesServed = await timesDrawn("node one too many")
    found.models = (await client.models.list()).data.map((model) => model.id)
    tell(found)
}

main()
