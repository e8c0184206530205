"use strict";
// Every five seconds the page asks for itself and puts in the new figures; a hidden tab waits.
async function refresh() {
  if (document.hidden) return;
  let fresh = null;
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(4000) });
    if (answer.ok) fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch { /* shown below */ }
  const live = fresh && fresh.getElementById("live");
  document.getElementById("lost").hidden = Boolean(live);
  if (!live) return;
  document.title = fresh.title;
  document.getElementById("live").replaceWith(live);
}
setInterval(refresh, 5000);
document.addEventListener("visibilitychange", refresh);
