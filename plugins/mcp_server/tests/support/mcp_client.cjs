// The protocol's own JavaScript client against a running server; prints what it found as JSON.
// Arguments: the server's URL, its token, a file to edit.
const { readFileSync } = require("node:fs");
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

const [url, token, file] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const small = { width: 64, height: 64, steps: 15 };

async function main() {
  const client = new Client({ name: "visioncraft-tests", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } }));
  const call = (name, args, options) => client.callTool({ name, arguments: args }, undefined, options);
  const steer = (path, method = "POST") => fetch(`${url}/fake/${path}`, { method });
  const found = {};

  let steps = 0;
  const drawn = await call("generate_image", { prompt: "red apple", ...small }, { onprogress: () => steps++ });
  found.drawn = { kinds: drawn.content.map((each) => each.type), steps, id: drawn.structuredContent.id };

  const image = readFileSync(file).toString("base64");
  const edited = await call("edit_image", { image, prompt: "make it green" });
  found.edited = [edited.structuredContent.width, edited.structuredContent.height];

  const wrong = await call("generate_image", { prompt: "red apple", width: 99 });
  found.wrong = { isError: wrong.isError, text: wrong.content[0].text };

  const left = new AbortController();
  const leaving = call("generate_image", { prompt: "gated node-left", ...small }, { signal: left.signal });
  leaving.catch(() => {});
  await steer("permits/node-left/1");
  await steer("reached/node-left/1", "GET");
  left.abort();
  await leaving.catch((error) => (found.left = error.message));
  await steer("permits/node-left/100");

  const keyed = { prompt: "noise node", key: "node-once", ...small };
  const once = [await call("generate_image", keyed), await call("generate_image", keyed)];
  found.once = once.map((each) => each.structuredContent.id);

  const waiting = [];
  let full = null;
  for (let count = 0; count < 9 && !full; count++) {
    const begun = await call("generate_image", { prompt: "gated node-full", wait_s: 0, ...small });
    if (begun.isError) full = begun.content[0].text;
    else waiting.push(begun.structuredContent.job_id);
  }
  found.full = full;
  for (const job_id of waiting) await call("cancel_job", { job_id });
  await steer("permits/node-full/100");
  await client.close();
  console.log(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
