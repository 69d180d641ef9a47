// npm `ai` with one of its providers against the server: node ai_sdk.cjs URL IMAGE PROVIDER
"use strict"

const { createOpenAI } = require("@ai-sdk/openai")
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible")
const { generateImage } = require("ai")
const { url, image, givenUp, whileFull, timesDrawn, tell } = require("./steering.cjs")

const name = process.argv[4]
const settings = { baseURL: `${url}/v1`, apiKey: "unused", name: "visioncraft" }
const provider = name === "openai" ? createOpenAI(settings) : createOpenAICompatible(settings)
const model = provider.imageModel("fake")
const draw = (prompt, options = {}) => generateImage({ model, prompt, size: "64x64", ...options })
const cause = (error) => error.lastError ?? error
const failing = (asked) => asked.then(() => null, (error) => ({ status: cause(error).statusCode, message: cause(error).message }))

async function main() {
    const found = {}
    const drawn = await draw("ai apple", { size: "128x64", n: 2, providerOptions: { [name]: { seed: 7 } } })
    found.drawn = drawn.images.map((each) => each.mediaType)
    const edited = await draw({ text: "ai edit", images: [image], mask: image }, { size: undefined })
    found.edited = edited.images.length
    found.wrong = await failing(draw("apple", { size: "0x0" }))
    found.failed = await failing(draw("fail: vram"))
    found.paid = await failing(draw(`fail: upstream`))
    found.timesPaid = await timesDrawn("fail: upstream")
    found.givenUp = await givenUp(`ai-${name}`, (prompt, abortSignal) => draw(prompt, { abortSignal }))
    const full = await whileFull(`ai-${name}-full`, (maxRetries) => draw(`ai ${name} one too many`, { maxRetries }))
    found.full = { status: cause(full).statusCode, wait: Number(cause(full).responseHeaders["retry-after"]) }
    found.timesServed = await timesDrawn(`ai ${name} one too many`)
    tell(found)
}

main()
