(() => {
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  const trouble = document.getElementById("trouble");
  // Without what it may have of a user and a password: a request with them is refused.
  const source = new URL(live.dataset.source, location.href);
  source.username = source.password = "";
  let paused = false;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on updating" : "Pause updates";
  });
  const update = async () => {
    if (!paused && !document.hidden) {
      try {
        const response = await fetch(source, { cache: "no-store" });
        if (!response.ok) throw new Error(String(response.status));
        const { html } = await response.json();
        const inside = live.contains(document.activeElement) && document.activeElement.id;
        live.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
        if (inside) document.getElementById(inside)?.focus();
        trouble.hidden = true;
      } catch {
        trouble.hidden = false;
      }
    }
    setTimeout(update, 2000);
  };
  setTimeout(update, 2000);
})();
