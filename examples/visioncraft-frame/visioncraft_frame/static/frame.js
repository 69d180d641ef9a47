// Shows the newest image; asks for it anew when the token changes.
const token = document.getElementById("token");

async function show() {
  const headers = token.value ? { Authorization: `Bearer ${token.value}` } : {};
  const page = await fetch("/gallery?limit=1&image_data=false", { headers });
  if (!page.ok) return;
  const [image] = (await page.json()).images;
  if (!image) return;
  const picture = document.getElementById("newest");
  picture.alt = image.prompt;
  picture.src = URL.createObjectURL(await (await fetch(image.url, { headers })).blob());
}

token.addEventListener("change", show);
show();
