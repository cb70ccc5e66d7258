// Progressive: without it the previews stand in a row to scroll through and commands are copied by hand.
for (const box of document.querySelectorAll(".scrub")) {
  const frames = [...box.querySelectorAll(".stage>*")], slider = box.querySelector("input"), says = box.querySelector("output"), play = box.querySelector("button");
  const charts = [...(box.parentElement.querySelectorAll("svg[data-x]"))];
  let timer = 0;
  const point = (step) => {
    for (const svg of charts) {
      const [low, high, left, right, top, bottom] = svg.dataset.x.split(" ").map(Number), x = left + (step - low) / (high - low) * (right - left);
      let line = svg.querySelector(".cursor");
      if (!line) { line = document.createElementNS(svg.namespaceURI, "line"); line.classList.add("cursor"); svg.append(line); }
      for (const [key, value] of Object.entries({ x1: x, x2: x, y1: top, y2: bottom })) line.setAttribute(key, value);
    }
  };
  const show = (i) => { if (frames[i].dataset.x) point(+frames[i].dataset.x); frames.forEach((f, k) => f.classList.toggle("on", k === i)); says.textContent = frames[i].dataset.step; slider.value = i; slider.setAttribute("aria-valuetext", frames[i].dataset.step); };
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
  slider.addEventListener("input", () => { stop(); show(+slider.value); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (+slider.value === frames.length - 1) show(0);
    play.textContent = "Pause";
    timer = setInterval(() => { const next = +slider.value + 1; if (next >= frames.length) return stop(); show(next); }, 700);
  });
  box.classList.add("live");
  show(frames.length - 1);
}
for (const button of document.querySelectorAll(".copy")) {
  if (!navigator.clipboard) { button.remove(); continue; }
  button.addEventListener("click", async () => { await navigator.clipboard.writeText(button.previousElementSibling.textContent); button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); });
}
// A picture is enlarged by whole pixels where it is pressed; arrows go on to its neighbours, Escape or a press anywhere ends it.
const large = document.createElement("dialog");
large.className = "large";
large.innerHTML = '<figure><figcaption><span></span><button type="button">Close</button></figcaption></figure>';
document.body.append(large);
let shown = null;
const enlarge = (picture) => {
  shown = picture;
  const image = large.querySelector("img") || large.firstChild.insertBefore(new Image(), large.firstChild.firstChild), [width, height] = [picture.naturalWidth, picture.naturalHeight];
  const high = Math.floor((innerHeight - 120) / height), fitting = Math.floor(Math.min((innerWidth - 48) / width, high));
  const times = width * fitting > picture.clientWidth ? fitting : Math.max(2, high);  // what would not grow is scrolled through
  Object.assign(image, { src: picture.src, alt: picture.alt, width: width * times });
  image.style.imageRendering = times > 1 ? "pixelated" : "auto";
  large.querySelector("span").textContent = picture.closest("li")?.querySelector("span").textContent || picture.alt;
  if (!large.open) large.showModal();
};
large.addEventListener("click", () => large.close());
large.addEventListener("close", () => shown?.parentElement.focus());
large.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key];
  const next = by && shown.closest("li")?.[by]?.querySelector("img");
  if (next) { event.preventDefault(); enlarge(next); }
});
for (const picture of document.querySelectorAll("figure img")) {
  if (large.contains(picture)) continue;
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "zoom", ariaLabel: `Enlarge: ${picture.alt}` });
  picture.replaceWith(button);
  button.append(picture);
  button.addEventListener("click", () => enlarge(picture));
}
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const watch = new IntersectionObserver((seen) => { for (const s of seen) if (s.isIntersecting) { links.forEach((a) => a.classList.remove("here")); links.get(s.target.id)?.classList.add("here"); } }, { rootMargin: "-20% 0px -75% 0px" });
document.querySelectorAll("section[id]").forEach((s) => watch.observe(s));
