"use strict";
(() => {
  const root = document.documentElement;
  const themes = JSON.parse(document.getElementById("themes").textContent);
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let isPrinting = false;

  // -- light and dark ---------------------------------------------------------------------------------------------

  const remembered = {
    read() { try { return localStorage.getItem("automl-theme") || "auto"; } catch { return "auto"; } },
    write(choice) { try { localStorage.setItem("automl-theme", choice); } catch { /* kept for this visit only */ } },
  };
  let choice = remembered.read();
  const theme = () => isPrinting ? "light" : choice === "auto" ? (systemDark.matches ? "dark" : "light") : choice;

  function showTheme() {
    root.dataset.theme = theme();
    const button = document.querySelector(".theme");
    const words = { auto: "Auto", light: "Light", dark: "Dark" }[choice];
    button.textContent = { auto: "◐ ", light: "☀ ", dark: "☾ " }[choice] + words;
    button.setAttribute("aria-label", `Colours: ${words.toLowerCase()}. Press to change.`);
  }
  document.querySelector(".theme").addEventListener("click", () => {
    choice = { auto: "light", light: "dark", dark: "auto" }[choice];
    remembered.write(choice);
    showTheme();
    drawAll();
  });
  systemDark.addEventListener("change", () => { showTheme(); drawAll(); });

  // -- figures ----------------------------------------------------------------------------------------------------

  const plots = [...document.querySelectorAll(".plot")];
  const sources = new Map(plots.map((plot) => [plot, document.getElementById(`data-${plot.id}`).textContent]));
  const pattern = new RegExp(Object.keys(themes).join("|"), "gi");

  function figure(plot) {
    const text = sources.get(plot);
    return JSON.parse(theme() === "dark" ? text.replace(pattern, (colour) => themes[colour.toLowerCase()]) : text);
  }

  async function draw(plot, width) {
    const { data, layout } = figure(plot);
    layout.autosize = !width;
    if (width) layout.width = width;
    layout.transition = still ? { duration: 0 } : undefined;
    if (coarse) layout.dragmode = false;
    try {
      await Plotly.react(plot, data, layout, {
        responsive: true, displaylogo: false, displayModeBar: false, showTips: false,
      });
      plot.dataset.drawn = theme();
    } catch (error) {
      plot.textContent = "This browser could not draw the figure; its description says what it shows.";
      plot.classList.add("unread");
      console.error(error);
    }
  }

  plots.forEach((plot) => plot.closest("figure").querySelector(".save").addEventListener("click", () =>
    Plotly.downloadImage(plot, { format: "png", scale: 2, filename: plot.id.replace("figure-", ""), width: plot.clientWidth, height: plot.clientHeight })));

  let drawing = 0;
  async function drawAll() {
    const mine = ++drawing;
    delete root.dataset.ready;
    for (const plot of plots) {
      await new Promise((done) => setTimeout(done));
      if (mine !== drawing) return;
      await draw(plot);
    }
    root.dataset.ready = "true";
  }

  // Paper is narrower than the window, and nobody waits for a second drawing: each figure is drawn at about its width and scaled to it.
  function drawForPaper(plot) {
    const group = plot.closest(".group");
    const [width, height] = [group ? 340 : Math.max(700, parseFloat(plot.style.minWidth) || 0), plot.clientHeight];
    draw(plot, width);
    plot.querySelector(".svg-container").style.aspectRatio = `${width} / ${height}`;
    plot.querySelectorAll(".main-svg").forEach((svg) => svg.setAttribute("viewBox", `0 0 ${width} ${height}`));
  }

  function drawForScreen(plot) {
    plot.querySelectorAll(".main-svg").forEach((svg) => svg.removeAttribute("viewBox"));
    plot.querySelector(".svg-container").style.aspectRatio = "";
  }

  // -- print --------------------------------------------------------------------------------------------------------

  const closed = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  addEventListener("beforeprint", () => {
    isPrinting = true;
    opened = closed();
    opened.forEach((each) => { each.open = true; });
    showTheme();
    plots.forEach(drawForPaper);
  });
  addEventListener("afterprint", () => {
    isPrinting = false;
    opened.forEach((each) => { each.open = false; });
    showTheme();
    plots.forEach(drawForScreen);
    drawAll();
  });

  // -- tables that sort and filter ------------------------------------------------------------------------------------

  const PER_PAGE = 50;
  const number = (text) => text === "" || text === "-" ? NaN : Number(text.replaceAll(",", ""));
  const comparisons = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b };

  function table(holder) {
    const spec = JSON.parse(document.getElementById(`data-${holder.id}`).textContent);
    const body = holder.querySelector("tbody");
    const heads = [...holder.querySelectorAll("thead th")];
    const [filter, select] = [holder.querySelector("input"), holder.querySelector("select")];
    const [count, place] = [holder.querySelector(".count"), holder.querySelector(".place")];
    const [previous, next] = [...holder.querySelectorAll(".pages button")];
    const marked = new Set(spec.marked);
    const keys = spec.columns.map((column, index) =>
      spec.keys[index] || (column.number ? spec.rows.map((row) => number(row[index])) : spec.rows.map((row) => row[index].toLowerCase())));
    const words = spec.rows.map((row) => row.join("\u0001").toLowerCase());
    let [sorted, falling, page] = [spec.sort, spec.falling, 0];
    let shown = [];

    function test(word) {
      const found = /^(.+?)(<=|>=|<|>|=)(.+)$/.exec(word);
      const column = found ? spec.columns.findIndex((each) => each.name.toLowerCase() === found[1]) : -1;
      if (column < 0) return (row) => words[row].includes(word);
      const bound = Number(found[3]);
      if (spec.columns[column].number && !Number.isNaN(bound)) return (row) => comparisons[found[2]](keys[column][row], bound);
      return (row) => found[2] === "=" && spec.rows[row][column].toLowerCase() === found[3];
    }

    function arrange() {
      const tests = filter.value.toLowerCase().replace(/\s*(<=|>=|<|>|=)\s*/g, "$1").split(/\s+/).filter(Boolean).map(test);
      if (select && select.value) tests.push((row) => spec.rows[row][spec.state] === select.value);
      const values = keys[sorted], sign = falling ? -1 : 1;
      const missing = (value) => value === null || value === "" || Number.isNaN(value);
      shown = spec.rows.map((_, row) => row).filter((row) => tests.every((each) => each(row)));
      shown.sort((a, b) => {
        if (missing(values[a]) || missing(values[b])) return missing(values[a]) - missing(values[b]) || a - b;
        return values[a] < values[b] ? -sign : values[a] > values[b] ? sign : a - b;
      });
      page = 0;
      show();
    }

    function show() {
      const pages = Math.max(1, Math.ceil(shown.length / PER_PAGE));
      const rows = shown.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map((row) => {
        const line = document.createElement("tr");
        if (marked.has(row)) line.className = "marked";
        spec.rows[row].forEach((text, index) => {
          const cell = document.createElement(index === 0 ? "th" : "td");
          if (index === 0) cell.scope = "row";
          if (spec.columns[index].number) cell.className = "number";
          cell.textContent = text;
          if (text.length > 24) cell.title = text;
          line.append(cell);
        });
        return line;
      });
      body.replaceChildren(...rows);
      const what = spec.rows.length === 1 ? spec.what.replace(/s$/, "") : spec.what;
      count.textContent = shown.length === spec.rows.length ? `${shown.length} ${what}` : `${shown.length} of ${spec.rows.length} ${what}`;
      place.textContent = `Page ${page + 1} of ${pages}`;
      previous.disabled = page === 0;
      next.disabled = page >= pages - 1;
      holder.querySelector(".pages").hidden = pages === 1;
      heads.forEach((head, index) => head.setAttribute("aria-sort", index !== sorted ? "none" : falling ? "descending" : "ascending"));
    }

    heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => {
      [falling, sorted] = [sorted === index ? !falling : false, index];
      arrange();
    }));
    filter.addEventListener("input", arrange);
    if (select) select.addEventListener("change", arrange);
    previous.addEventListener("click", () => { page -= 1; show(); });
    next.addEventListener("click", () => { page += 1; show(); });
    arrange();
  }

  // -- texts to copy ----------------------------------------------------------------------------------------------------

  document.querySelectorAll(".code button").forEach((button) => button.addEventListener("click", async () => {
    const text = button.parentElement.querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.parentElement.querySelector("pre"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }));

  showTheme();
  document.querySelectorAll(".data").forEach(table);
  drawAll();
})();
