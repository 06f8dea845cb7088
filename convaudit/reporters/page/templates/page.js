"use strict";
(() => {
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("convaudit-theme"); } catch { return null; } };
  const store = (theme) => { try { localStorage.setItem("convaudit-theme", theme); } catch { /* a page from a disk may have no store */ } };
  if (stored()) root.dataset.theme = stored();

  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  function switchThemes() {
    const button = document.querySelector(".theme");
    const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const show = () => {
      button.setAttribute("aria-pressed", String(dark()));
      root.dataset.theme = dark() ? "dark" : "light";
    };
    const follow = root.dataset.theme === undefined;
    show();
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      store(root.dataset.theme);
      show();
    });
    if (follow) matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
      if (!stored()) { root.dataset.theme = event.matches ? "dark" : "light"; show(); }
    });
  }

  function sortable(table) {
    const body = table.tBodies[0];
    const heads = all("thead th", table);
    const ranks = new Map(all("tr", body).map((row) => [row, row.dataset.ranks.split(",").map(Number)]));
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const current = head.getAttribute("aria-sort");
        const first = head.dataset.first;
        const other = first === "ascending" ? "descending" : "ascending";
        const order = current === first ? other : first;
        for (const one of heads) one.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        const sign = order === first ? 1 : -1;
        const rows = [...body.rows];
        rows.sort((a, b) => sign * (ranks.get(a)[column] - ranks.get(b)[column]) || ranks.get(a)[0] - ranks.get(b)[0]);
        body.append(...rows);
        roving(table);
        steps();
      });
    });
  }

  function filterable(section, table) {
    const tools = section.querySelector(".tools");
    const input = tools.querySelector("input");
    const count = tools.querySelector(".count");
    const chips = all("[data-kind]", tools);
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, text: row.textContent.toLowerCase(), kind: row.dataset.kind, share: Number(row.dataset.share || 0) }));
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kinds = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.kind);
      let shown = 0, share = 0;
      for (const one of rows) {
        const keep = (!kinds.length || kinds.includes(one.kind)) && words.every((word) => one.text.includes(word));
        one.row.classList.toggle("filtered", !keep);
        if (keep) { shown += 1; share += one.share; }
      }
      const part = share && shown < rows.length ? `, ${(100 * share).toFixed(1)}% of the model's MACs` : "";
      count.textContent = shown < rows.length ? `${shown} of ${rows.length} rows${part}` : `${rows.length} rows`;
      roving(table);
      steps();
    };
    input.addEventListener("input", apply);
    input.addEventListener("keydown", (event) => { if (event.key === "Escape") { input.value = ""; apply(); } });
    for (const chip of chips) chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      apply();
    });
    tools.hidden = false;
    apply();
  }

  const visible = (table) => [...table.tBodies[0].rows].filter((row) => !row.classList.contains("filtered"));
  const link = (row) => row.querySelector("th a");

  function roving(table) {
    const rows = visible(table);
    const here = rows.find((row) => row.classList.contains("chosen")) || rows[0];
    for (const row of table.tBodies[0].rows) link(row).tabIndex = row === here ? 0 : -1;
  }

  function walkable(table) {
    table.addEventListener("keydown", (event) => {
      const row = event.target.closest("tbody tr");
      if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
      const rows = visible(table);
      const at = rows.indexOf(row);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
      if (to === undefined || !rows[to]) return;
      event.preventDefault();
      for (const one of rows) link(one).tabIndex = -1;
      link(rows[to]).tabIndex = 0;
      link(rows[to]).focus();
    });
    table.addEventListener("click", (event) => {
      const row = event.target.closest("tbody tr");
      if (row && !event.target.closest("a") && !String(getSelection())) choose(row.id, row);
    });
  }

  let chosen = null, opener = null;
  const beside = () => matchMedia("(min-width: 87.5rem)").matches;

  function show(id) {
    const template = document.getElementById(`panel-${id}`);
    const panel = document.getElementById("panel");
    if (!template || !panel) return false;
    chosen = id;
    const body = panel.querySelector(".body");
    body.replaceChildren(template.content.cloneNode(true));
    for (const slot of all("[data-picture]", body)) {
      const picture = document.getElementById(slot.dataset.picture);
      if (picture) slot.append(picture.content.cloneNode(true));
    }
    panel.scrollTop = 0;
    panel.hidden = false;
    for (const one of all(".chosen")) one.classList.remove("chosen");
    const row = document.getElementById(id);
    if (row) row.classList.add("chosen");
    for (const mark of all(`svg a[href="#${CSS.escape(id)}"]`)) mark.classList.add("chosen");
    steps();
    return true;
  }

  function steps() {
    const row = document.getElementById(chosen);
    if (!row) return;
    const rows = visible(row.closest("table"));
    const panel = document.getElementById("panel");
    panel.querySelector(".previous").disabled = rows.indexOf(row) <= 0;
    panel.querySelector(".next").disabled = rows.indexOf(row) === rows.length - 1;
  }

  function choose(id, from) {
    if (!show(id)) return;
    opener = from;
    if (location.hash !== `#${id}`) history.pushState(null, "", `#${id}`);
    if (!beside()) document.querySelector("#panel h2").focus();
  }

  function close() {
    const panel = document.getElementById("panel");
    if (beside() || panel.hidden) return;
    panel.hidden = true;
    history.replaceState(null, "", location.href.split("#")[0]);
    const row = document.getElementById(chosen);
    if (row) { for (const one of visible(row.closest("table"))) link(one).tabIndex = -1; link(row).tabIndex = 0; link(row).focus(); }
    else if (opener) opener.focus();
  }

  function step(by) {
    const row = document.getElementById(chosen);
    const rows = visible(row.closest("table"));
    const next = rows[rows.indexOf(row) + by];
    if (next) { choose(next.id, next); next.scrollIntoView({ block: "nearest" }); }
  }

  function choosable() {
    const panel = document.getElementById("panel");
    if (!panel) return;
    document.addEventListener("click", (event) => {
      const anchor = event.target.closest('a[href^="#"]');
      if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const id = anchor.getAttribute("href").slice(1);
      if (document.getElementById(`panel-${id}`)) { event.preventDefault(); choose(id, anchor); }
    });
    panel.querySelector(".close").addEventListener("click", close);
    panel.querySelector(".previous").addEventListener("click", () => step(-1));
    panel.querySelector(".next").addEventListener("click", () => step(1));
    document.addEventListener("keydown", (event) => { if (event.key === "Escape" && event.target.type !== "search") close(); });
    const unnamed = () => {
      const first = document.querySelector("[data-costliest]");
      if (first) show(first.dataset.costliest);
      if (!beside()) panel.hidden = true;
    };
    const named = () => {
      const id = location.hash.slice(1);
      if (!show(id)) { unnamed(); return; }
      const row = document.getElementById(id);
      const drill = row.closest("details");
      if (drill) drill.open = true;
      row.scrollIntoView({ block: "nearest", behavior: "instant" });
    };
    addEventListener("popstate", named);
    matchMedia("(min-width: 87.5rem)").addEventListener("change", () => { panel.hidden = !beside() && !location.hash; });
    named();
  }

  function tips() {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    tip.setAttribute("aria-hidden", "true");
    document.body.append(tip);
    let told = null;
    const hide = () => { tip.hidden = true; told = null; };
    document.addEventListener("pointermove", (event) => {
      const mark = event.target.closest(".chart svg [aria-label]");
      if (!mark || mark.getAttribute("role") === "img") { hide(); return; }
      const text = mark.getAttribute("aria-label");
      if (text !== told) {
        tip.replaceChildren(...text.split("; ").map((line) => {
          const span = document.createElement("span");
          span.textContent = line;
          return span;
        }));
        told = text;
        tip.hidden = false;
      }
      const right = event.clientX + 16 + tip.offsetWidth > innerWidth;
      const below = event.clientY + 16 + tip.offsetHeight > innerHeight;
      tip.style.left = `${Math.max(4, right ? event.clientX - 12 - tip.offsetWidth : event.clientX + 16)}px`;
      tip.style.top = `${Math.max(4, below ? event.clientY - 12 - tip.offsetHeight : event.clientY + 16)}px`;
    });
    document.addEventListener("scroll", hide, { passive: true, capture: true });
    document.addEventListener("pointerleave", hide);
  }

  document.addEventListener("DOMContentLoaded", () => {
    switchThemes();
    for (const section of all(".listing")) for (const table of all("table.layers", section)) {
      sortable(table);
      filterable(section, table);
      walkable(table);
    }
    choosable();
    tips();
  });
})();
