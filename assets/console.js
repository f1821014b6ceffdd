// With scripts the console's pages change in place, tables filter as one types, and what is marked as live stays current.
// Without them every link and form does the same by loading a page.
(() => {
  "use strict";

  const main = () => document.getElementById("main");
  let latest = 0;

  // Shows the page that an address of the console gives. Whatever is odd is left to the browser.
  const show = async (url, { push = true, focus = true } = {}) => {
    const number = ++latest;
    let text;
    try {
      const answer = await fetch(url, { headers: { accept: "text/html" } });
      if (!answer.ok || !new URL(answer.url).pathname.startsWith("/admin")) throw answer;
      text = await answer.text();
      url = answer.url;
    } catch {
      location.assign(url);
      return;
    }
    if (number !== latest) return;
    const page = new DOMParser().parseFromString(text, "text/html");
    const focused = document.activeElement;
    const kept = !focus && focused && main().contains(focused) && focused.id
      ? { id: focused.id, at: focused.selectionStart } : null;
    main().replaceWith(page.getElementById("main"));
    const tabs = document.querySelector(".tabs");
    const fresh = page.querySelector(".tabs");
    if (tabs && fresh) tabs.replaceWith(fresh);
    document.title = page.title;
    if (push) history.pushState(null, "", url);
    if (kept) {
      const field = document.getElementById(kept.id);
      field?.focus();
      if (typeof kept.at === "number") field?.setSelectionRange?.(kept.at, kept.at);
    } else if (focus) {
      scrollTo(0, 0);
      document.querySelector("h1")?.focus();
    }
    enhance();
  };

  const filterAddress = form => {
    const url = new URL(form.action);
    url.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== "")).toString();
    return url.href;
  };

  document.addEventListener("click", event => {
    const link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !url.pathname.startsWith("/admin") || url.hash) return;
    event.preventDefault();
    show(url.href);
  });

  document.addEventListener("submit", event => {
    const form = event.target;
    if (form.method !== "get") return;
    event.preventDefault();
    show(filterAddress(form), { focus: false });
  });

  let typing;
  document.addEventListener("input", event => {
    const form = event.target.closest(".filters");
    if (!form) return;
    // A list that was asked for before would take away what is typed since.
    ++latest;
    clearTimeout(typing);
    typing = setTimeout(() => show(filterAddress(form), { focus: false }), 250);
  });

  addEventListener("popstate", () => show(location.href, { push: false }));

  // A box that chooses every row.
  const enhance = () => {
    for (const table of document.querySelectorAll("form > .table")) {
      const boxes = table.querySelectorAll("tbody input[type=checkbox]");
      const head = table.querySelector("thead th");
      if (!boxes.length || head.querySelector("input")) continue;
      const all = document.createElement("input");
      all.type = "checkbox";
      all.setAttribute("aria-label", head.textContent.trim());
      all.addEventListener("change", () => boxes.forEach(box => { box.checked = all.checked; }));
      head.append(all);
    }
  };
  enhance();

  // What is live is asked for again, while somebody looks and does nothing else in it.
  setInterval(async () => {
    const live = document.querySelector("[data-live]");
    if (!live || document.hidden || live.contains(document.activeElement)) return;
    const number = latest;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok || number !== latest) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
      if (!fresh) return;
      for (const open of live.querySelectorAll("details[open][id]")) {
        fresh.querySelector(`#${open.id}`)?.setAttribute("open", "");
      }
      live.replaceWith(fresh);
    } catch {
      // The server is away for a moment: what is shown stays.
    }
  }, 5000);
})();
