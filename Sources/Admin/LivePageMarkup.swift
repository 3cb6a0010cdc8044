// The live page's markup and style.

enum LivePageMarkup {
    static let head = #"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Fairlead</title>
        <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'
          viewBox='0 0 16 16'%3E%3Cpath d='M1 8h5c3 0 3-5 6-5h3M6 8c3 0 3 5 6 5h3' fill='none'
          stroke='%230b7a75' stroke-width='2'/%3E%3C/svg%3E">
        <style>
        :root {
          color-scheme: light dark;
          --bg: #f6f7f8; --card: #fff; --ink: #16202a; --soft: #55626f; --line: #d9dfe4;
          --accent: #0b6e69; --good: #1a6e3a; --warn: #8a5300; --bad: #b3261e; --stable: #7a8794;
          --shadow: 0 1px 2px rgba(16, 32, 48, .07);
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --bg: #10161b; --card: #18212a; --ink: #e6edf3; --soft: #a3b1bd; --line: #2d3a45;
            --accent: #4fc3bb; --good: #63c98a; --warn: #f0b45a; --bad: #ff8a80; --stable: #8b98a5;
            --shadow: none;
          }
        }
        * { box-sizing: border-box; }
        body {
          margin: 0; background: var(--bg); color: var(--ink);
          font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
        }
        main, header, footer { max-width: 1160px; margin: 0 auto; padding: 0 20px; }
        header { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; padding-top: 20px; }
        h1 { font-size: 22px; margin: 0; letter-spacing: -.01em; }
        h2 { font-size: 16px; margin: 0 0 10px; }
        .who { color: var(--soft); }
        .grow { flex: 1; }
        .pill {
          border: 1px solid currentColor; border-radius: 99px; padding: 1px 10px; font-size: 13px;
          font-weight: 600; white-space: nowrap;
        }
        .good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
        .soft { color: var(--soft); }
        button, input, select, textarea {
          font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
          border-radius: 8px; padding: 6px 12px;
        }
        button { cursor: pointer; }
        button.primary { background: var(--accent); border-color: var(--accent); color: var(--card); }
        :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
        .skip { position: absolute; left: -9999px; }
        .skip:focus { left: 8px; top: 8px; background: var(--card); padding: 8px; }
        section {
          background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px;
          margin: 16px 0; box-shadow: var(--shadow);
        }
        .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
        .figure {
          background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 12px 14px;
          box-shadow: var(--shadow);
        }
        .figure dt { color: var(--soft); font-size: 13px; }
        .figure dd { margin: 0; font-size: 24px; font-weight: 650; font-variant-numeric: tabular-nums; }
        .figure dd small {
          display: block; min-height: 20px; font-size: 13px; font-weight: 400; color: var(--soft);
        }
        .figure svg { display: block; width: 100%; height: 28px; margin-top: 4px; }
        dl { margin: 16px 0 0; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
        th, td {
          text-align: left; padding: 6px 20px 6px 0; border-bottom: 1px solid var(--line);
          vertical-align: top;
        }
        tr > :last-child { padding-right: 0; }
        thead th { color: var(--soft); font-weight: 500; font-size: 13px; white-space: nowrap; }
        tbody tr:last-child > * { border-bottom: 0; }
        tbody th { font-weight: 600; }
        .num { text-align: right; white-space: nowrap; }
        caption { position: absolute; left: -9999px; }
        ul.members { list-style: none; margin: 0; padding: 0; }
        code, pre, textarea { font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, monospace; }
        pre {
          overflow: auto; max-height: 420px; margin: 10px 0 0; padding: 12px; background: var(--bg);
          border-radius: 8px;
        }
        .cell { overflow-wrap: break-word; }
        .cell, th { max-width: 46ch; }
        #map svg { width: 100%; height: auto; min-width: 720px; display: block; }
        #map rect { fill: var(--bg); stroke: var(--line); }
        #map text { fill: var(--ink); font-size: 13px; }
        #map text.sub { fill: var(--soft); font-size: 11.5px; }
        #map path { fill: none; stroke-linecap: round; opacity: .75; }
        #map path.flow { stroke-dasharray: 7 7; animation: flow 1.1s linear infinite; }
        @keyframes flow { to { stroke-dashoffset: -14; } }
        @media (prefers-reduced-motion: reduce) { #map path.flow { animation: none; } }
        form { display: grid; gap: 10px; grid-template-columns: 110px 1fr auto; align-items: end; }
        form label { display: grid; gap: 2px; font-size: 13px; color: var(--soft); }
        form .wide { grid-column: 1 / -1; }
        form input, form select, form textarea { width: 100%; color: var(--ink); }
        .split { display: grid; grid-template-columns: 1fr 1fr; gap: 0 16px; }
        @media (max-width: 800px) { .split, form { grid-template-columns: 1fr; } }
        footer { color: var(--soft); padding-bottom: 28px; font-size: 14px; }
        footer a, .empty a { color: var(--accent); }
        .empty { color: var(--soft); margin: 0; }
        </style>
        </head>

        """#

    static let body = #"""
        <body>
        <a class="skip" href="#main">Skip to content</a>
        <header>
          <h1>Fairlead</h1>
          <span class="who" id="who"></span>
          <span class="grow"></span>
          <span class="soft" id="age"></span>
          <span class="pill soft" id="state" role="status">connecting</span>
          <button type="button" id="pause" aria-pressed="false">Pause</button>
        </header>
        <main id="main">
          <dl class="figures" aria-label="Key figures">
            <div class="figure">
              <dt>Requests a second</dt><dd id="k-rps">–</dd>
              <svg id="s-rps" aria-hidden="true"></svg>
            </div>
            <div class="figure">
              <dt>Server errors</dt><dd id="k-err">–</dd>
              <svg id="s-err" aria-hidden="true"></svg>
            </div>
            <div class="figure">
              <dt>Duration, median</dt><dd id="k-lat">–</dd>
              <svg id="s-lat" aria-hidden="true"></svg>
            </div>
            <div class="figure">
              <dt>Added here, median</dt><dd id="k-own">–</dd>
              <svg id="s-own" aria-hidden="true"></svg>
            </div>
            <div class="figure">
              <dt>Connections in</dt><dd id="k-conn">–</dd>
            </div>
            <div class="figure">
              <dt>Memory</dt><dd id="k-mem">–</dd>
            </div>
          </dl>
          <section aria-labelledby="h-map">
            <h2 id="h-map">Where requests go</h2>
            <div id="map" class="scroll" tabindex="0" role="region" aria-labelledby="h-map"></div>
          </section>
          <section aria-labelledby="h-lanes">
            <h2 id="h-lanes">Lanes</h2>
            <div id="lanes" class="scroll" tabindex="0" role="region" aria-labelledby="h-lanes"></div>
          </section>
          <section aria-labelledby="h-services">
            <h2 id="h-services">Services</h2>
            <div id="services" class="scroll" tabindex="0" role="region" aria-labelledby="h-services"></div>
          </section>
          <div class="split">
            <section aria-labelledby="h-lost">
              <h2 id="h-lost">Lanes lost</h2>
              <div id="lost" class="scroll" tabindex="0" role="region" aria-labelledby="h-lost"></div>
            </section>
            <section aria-labelledby="h-restored">
              <h2 id="h-restored">Lanes restored</h2>
              <div id="restored" class="scroll" tabindex="0" role="region" aria-labelledby="h-restored"></div>
            </section>
          </div>
          <section aria-labelledby="h-explain">
            <h2 id="h-explain">Explain a request</h2>
            <form id="explain">
              <label>Method
                <select name="method">
                  <option>GET</option><option>POST</option><option>PUT</option><option>PATCH</option>
                  <option>DELETE</option><option>HEAD</option><option>OPTIONS</option>
                </select>
              </label>
              <label>URL
                <input name="url" required placeholder="http://myapp.example.com/path?x-feat-name=my-lane">
              </label>
              <button class="primary">Explain</button>
              <label class="wide">Headers, one a line
                <textarea name="headers" rows="2" placeholder="cookie: x-feat-name=my-lane"></textarea>
              </label>
            </form>
            <div aria-live="polite"><pre id="explained" hidden tabindex="0"></pre></div>
          </section>
        </main>
        <footer>
          <p>The same as data: <a href="lanes">lanes</a>, <a href="routes">routes</a>,
          <a href="clusters">clusters</a>, <a href="listeners">listeners</a>, <a href="config">config</a>,
          <a href="audit">audit</a>, <a href="metrics">metrics</a>.</p>
        </footer>

        """#
}
