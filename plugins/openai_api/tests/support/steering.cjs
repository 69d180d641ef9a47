// What both clients' scripts share: the fake engine's gates, the queue, and what is told at the end.
"use strict"

const [, , url, file] = process.argv
const image = require("node:fs").readFileSync(file)

const call = async (path, options = {}) => (await fetch(url + path, options)).json()
const post = (path, body) =>
    call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? null) })

const submit = async (prompt) => (await post("/jobs", { prompt })).id
const permit = (gate, steps) => post(`/fake/permits/${gate}/${steps}`)
const reached = (gate, step) => call(`/fake/reached/${gate}/${step}`)
const running = async () => (await call("/jobs?status=running")).jobs.map((job) => job.id)
const timesDrawn = async (prompt) => (await call("/fake/seen")).filter((each) => each.prompt === prompt).length

async function ended(job) {
    await (await fetch(`${url}/jobs/${job}/events`)).text() // which ends with the job
    return (await call(`/jobs/${job}`)).status
}

// Begins to draw, gives up in the midst of it, and answers how the job ended.
async function givenUp(gate, draw) {
    const controller = new AbortController()
    const asked = draw(`gated ${gate}`, controller.signal).catch((error) => error.name)
    await permit(gate, 1)
    await reached(gate, 1)
    const [job] = await running()
    controller.abort()
    await asked
    await permit(gate, 100)
    return ended(job)
}

// Has one job draw and two wait, which is all that may; goes on while `ask` is told to come back later.
async function whileFull(gate, ask) {
    await submit(`gated ${gate}`)
    await permit(gate, 1)
    await reached(gate, 1)
    await submit(`gated ${gate}`)
    await submit(`gated ${gate}`)
    const refused = await ask(0).catch((error) => error)
    const asked = ask(5)
    await permit(gate, 1000)
    await asked
    return refused
}

const tell = (found) => process.stdout.write(JSON.stringify(found))

module.exports = { url, image, givenUp, whileFull, timesDrawn, tell }
