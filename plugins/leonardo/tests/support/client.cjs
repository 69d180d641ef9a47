// Leonardo.ai's official JavaScript client against an address: create, poll, list, delete, and two errors.
const { Leonardo } = require("@leonardo-ai/sdk");

async function refused(work) {
  try {
    await work();
  } catch (error) {
    return { status: error.statusCode ?? error.httpMeta?.response?.status, body: String(error.body ?? "") };
  }
  return { status: 200 };
}

async function main(serverURL, bearerAuth, userId) {
  const client = new Leonardo({ serverURL, bearerAuth });
  const made = await client.image.createGeneration({ prompt: "from node", width: 512, height: 512, numImages: 1 });
  const id = made.object.sdGenerationJob.generationId;
  const states = [];
  let found;
  do {
    const answer = await client.image.getGenerationById(id);
    found = answer.object.generationsByPk;
    states.push(found.status);
  } while (found.status === "PENDING");
  const me = await client.user.getUserSelf();
  const listed = await client.image.getGenerationsByUserId(userId);
  const models = await client.models.listPlatformModels();
  await client.image.deleteGenerationById(id);
  const stranger = new Leonardo({ serverURL, bearerAuth: "00000000-0000-4000-8000-000000000000" });
  console.log(
    JSON.stringify({
      id,
      states,
      url: found.generatedImages[0].url,
      user: me.object.userDetails[0].user.id,
      listed: listed.object.generations.map((each) => each.id),
      models: models.object.customModels.map((each) => each.name),
      wide: await refused(() => client.image.createGeneration({ prompt: "too wide", width: 1540, numImages: 1 })),
      stranger: await refused(() => stranger.user.getUserSelf()),
    }),
  );
}

main(...process.argv.slice(2));
