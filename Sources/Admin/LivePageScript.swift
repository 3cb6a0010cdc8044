// The live page's script: reads /metrics, /lanes, /clusters and /config every two seconds while the page is
// visible, and shows rates over the last interval.

enum LivePageScript {
    static let text = "<script>\n" + reading + drawing + tables + running + "</script>\n</body>\n</html>\n"

    private static let reading = #"""
        'use strict';
        const $ = id => document.getElementById(id);
        const make = (name, attributes, ...children) => {
          const node = name.startsWith('svg:')
            ? document.createElementNS('http://www.w3.org/2000/svg', name.slice(4))
            : document.createElement(name);
          for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
          node.append(...children.filter(child => child !== null && child !== undefined));
          return node;
        };

        // Prometheus text to a map of name to [{labels, value}].
        const parse = text => {
          const metrics = new Map();
          for (const line of text.split('\n')) {
            if (!line || line[0] === '#') continue;
            const open = line.indexOf('{');
            const space = line.lastIndexOf(' ');
            const name = line.slice(0, open >= 0 ? open : space);
            const labels = {};
            if (open >= 0) {
              const pairs = line.slice(open).matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g);
              for (const [, key, value] of pairs) {
                labels[key] = value.replace(/\\(.)/g, (_, c) => c === 'n' ? '\n' : c);
              }
            }
            if (!metrics.has(name)) metrics.set(name, []);
            metrics.get(name).push({labels, value: Number(line.slice(space + 1))});
          }
          return metrics;
        };

        const sum = (metrics, name, filter) => (metrics && metrics.get(name) || [])
          .reduce((total, s) => total + (!filter || filter(s.labels) ? s.value : 0), 0);

        // Rise since the last reading; a restarted proxy begins anew.
        const rise = (now, before, name, filter) => {
          const a = sum(before, name, filter), b = sum(now, name, filter);
          return b >= a ? b - a : b;
        };

        const quantiles = (now, before, name, filter, wanted) => {
          const bounds = new Map();
          const collect = (metrics, sign) => {
            for (const s of metrics && metrics.get(name + '_bucket') || []) {
              if (filter && !filter(s.labels)) continue;
              const le = s.labels.le === '+Inf' ? Infinity : Number(s.labels.le);
              bounds.set(le, (bounds.get(le) || 0) + sign * s.value);
            }
          };
          collect(now, 1);
          collect(before, -1);
          const buckets = [...bounds].sort((a, b) => a[0] - b[0]);
          const total = buckets.length ? buckets[buckets.length - 1][1] : 0;
          if (!(total > 0)) return wanted.map(() => null);
          return wanted.map(q => {
            let low = 0, under = 0;
            for (const [bound, count] of buckets) {
              if (count >= q * total) {
                if (bound === Infinity) return low;
                return low + (bound - low) * (q * total - under) / Math.max(1e-9, count - under);
              }
              low = bound;
              under = count;
            }
            return low;
          });
        };

        const short = n => n >= 1e6 ? (n / 1e6).toFixed(1) + ' M' : n >= 1e4 ? (n / 1e3).toFixed(1) + ' k'
          : n >= 100 || Number.isInteger(n) ? n.toFixed(0) : n < 0.1 ? '<0.1' : n.toFixed(1);
        const rate = n => short(n) + '/s';
        const milliseconds = ms => ms === null ? '–' : ms >= 1000 ? (ms / 1000).toFixed(1) + ' s'
          : ms >= 10 ? ms.toFixed(0) + ' ms' : ms >= 1 ? ms.toFixed(1) + ' ms'
          : (ms * 1000).toFixed(0) + ' µs';
        const bytes = n => n >= 2 ** 30 ? (n / 2 ** 30).toFixed(1) + ' GiB'
          : (n / 2 ** 20).toFixed(1) + ' MiB';
        const percent = (part, whole) => whole > 0
          ? (100 * part / whole).toFixed(part && part < whole ? 1 : 0) + ' %' : '–';
        const relative = instant => {
          const seconds = (new Date(instant) - Date.now()) / 1000, size = Math.abs(seconds);
          if (size > 60 * 86400) return new Date(instant).toISOString().slice(0, 10);
          const [n, unit] = size < 90 ? [size, 's'] : size < 5400 ? [size / 60, 'min']
            : size < 129600 ? [size / 3600, 'h'] : [size / 86400, 'd'];
          return seconds < 0 ? `${n.toFixed(0)} ${unit} ago` : `in ${n.toFixed(0)} ${unit}`;
        };
        const shortName = service => service.replace(/\.svc\.cluster\.local$/, '');

        """#

    private static let drawing = #"""

        // A hue of its own for each lane, the same on every reading.
        const laneColor = lane => {
          let hash = 7;
          for (const c of lane) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
          const dark = matchMedia('(prefers-color-scheme: dark)').matches;
          return `hsl(${hash * 47 % 360} ${dark ? '65% 68%' : '70% 36%'})`;
        };

        const sparkline = (svg, values, color) => {
          const top = Math.max(...values, 1e-9), step = 100 / 59;
          const points = values.map((v, i) =>
            `${((60 - values.length + i) * step).toFixed(1)},${(26 - 24 * v / top).toFixed(1)}`);
          svg.setAttribute('viewBox', '0 0 100 28');
          svg.setAttribute('preserveAspectRatio', 'none');
          svg.replaceChildren(make('svg:polyline', {
            points: points.join(' '), fill: 'none', stroke: color, 'stroke-width': 1.6,
            'vector-effect': 'non-scaling-stroke', 'stroke-linejoin': 'round'}));
        };

        const MAP_SERVICES = 30;

        // Services with their stable set and the lanes that have members there.
        const mapRows = view => {
          const services = new Map();
          for (const cluster of view.clusters) {
            const row = services.get(cluster.service) || {stable: new Set(), lanes: new Map()};
            services.set(cluster.service, row);
            for (const endpoint of cluster.endpoints) {
              if (!endpoint.lanes.length) row.stable.add(endpoint.address);
              for (const lane of endpoint.lanes) {
                if (!row.lanes.has(lane)) row.lanes.set(lane, new Set());
                row.lanes.get(lane).add(endpoint.address);
              }
            }
          }
          const rows = [...services].map(([service, row]) => {
            const ofLane = lane => rise(view.now, view.before, 'fairlead_lane_requests_total',
              l => l.service === service && l.decision === 'lane' && l.lane === lane) / view.seconds;
            const total = rise(view.now, view.before, 'istio_requests_total',
              l => l.destination_service === service) / view.seconds;
            const lanes = [...row.lanes].map(([lane, endpoints]) =>
              ({lane, endpoints: endpoints.size, rate: ofLane(lane)}));
            const laneRate = lanes.reduce((s, l) => s + l.rate, 0);
            const stable = {lane: null, endpoints: row.stable.size, rate: Math.max(0, total - laneRate)};
            return {service, total: Math.max(total, laneRate), targets: [stable, ...lanes]};
          });
          const interest = row => row.targets.length * 1e6 + row.total;
          return rows.sort((a, b) =>
            interest(b) - interest(a) || a.service.localeCompare(b.service));
        };

        const mapLink = (x1, y1, x2, y2, perSecond, color) => make('svg:path', {
          d: `M${x1} ${y1}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`, stroke: color,
          'stroke-width': 1.5 + Math.min(5, Math.log10(1 + perSecond) * 1.6),
          class: perSecond > 0 ? 'flow' : ''});

        const mapBox = (x, y, width, title, sub, stroke) => {
          const clip = (text, n) => text.length > n ? text.slice(0, n - 1) + '…' : text;
          const box = make('svg:rect', {x, y: y - 19, width, height: 38, rx: 8});
          if (stroke) box.setAttribute('style', `stroke:${stroke};stroke-width:1.6`);
          return make('svg:g', {}, make('svg:title', {}, `${title}: ${sub}`), box,
            make('svg:text', {x: x + 12, y: y - 3}, clip(title, Math.floor(width / 7.2))),
            make('svg:text', {x: x + 12, y: y + 12, class: 'sub'}, clip(sub, Math.floor(width / 6))));
        };

        const count = (n, one) => `${n} ${one}${n === 1 ? '' : 's'}`;

        const drawMap = view => {
          const all = mapRows(view), rows = all.slice(0, MAP_SERVICES);
          if (!rows.length) {
            return $('map').replaceChildren(make('p', {class: 'empty'}, 'No services are configured.'));
          }
          const links = [], boxes = [];
          const lines = rows.reduce((n, row) => n + row.targets.length, 0);
          const height = lines * 46 + rows.length * 10 + 10, middle = height / 2;
          let y = 28;
          for (const row of rows) {
            const center = y + (row.targets.length - 1) * 23;
            links.push(mapLink(170, middle, 330, center, row.total, 'var(--accent)'));
            boxes.push(mapBox(330, center, 240, shortName(row.service), rate(row.total)));
            for (const target of row.targets) {
              const color = target.lane ? laneColor(target.lane) : 'var(--stable)';
              links.push(mapLink(570, center, 720, y, target.rate, color));
              boxes.push(mapBox(720, y, 230, target.lane || 'stable',
                `${count(target.endpoints, 'endpoint')}, ${rate(target.rate)}`, color));
              y += 46;
            }
            y += 10;
          }
          const {name, role} = view.config.proxy;
          boxes.push(mapBox(10, middle, 160, name, `this ${role}`, 'var(--accent)'));
          const label = `Traffic from ${name} to ${count(rows.length, 'service')}; `
            + 'the tables below hold the same figures.';
          $('map').replaceChildren(make('svg:svg',
            {viewBox: `0 0 960 ${height}`, role: 'img', 'aria-label': label}, ...links, ...boxes));
          if (all.length > rows.length) {
            $('map').append(make('p', {class: 'empty'},
              `and ${all.length - rows.length} more; see the table of services.`));
          }
        };

        """#

    private static let tables = #"""

        const table = (caption, columns, rows, empty) => {
          if (!rows.length) return make('p', {class: 'empty'}, empty);
          const cell = (value, i, tag) => {
            const node = make(tag, columns[i].number ? {class: 'num'} : {class: 'cell'},
              value instanceof Node ? value : String(value));
            if (tag === 'th') node.setAttribute('scope', 'row');
            return node;
          };
          return make('table', {}, make('caption', {}, caption),
            make('thead', {}, make('tr', {}, ...columns.map(c =>
              make('th', c.number ? {scope: 'col', class: 'num'} : {scope: 'col'}, c.name)))),
            make('tbody', {}, ...rows.map(row =>
              make('tr', {}, ...row.map((v, i) => cell(v, i, i ? 'td' : 'th'))))));
        };

        const laneMembers = lane => {
          const served = lane.members.some(m => m.requests > 0);
          return make('ul', {class: 'members'}, ...lane.members.map(member => {
            const where = member.endpoints.length ? member.endpoints.join(', ') : 'no endpoint';
            const ghost = served && !member.requests && member.endpoints.length;
            return make('li', {}, `${shortName(member.service)} `, make('span', {class: 'soft'},
              `(${where}): ${member.requests} served`),
              ghost ? make('span', {class: 'warn'}, ' ⚠ nothing yet') : null);
          }));
        };

        const drawLanes = view => {
          const tone = {active: 'good', empty: 'warn', expired: 'bad'};
          const rows = view.lanes.map(lane => {
            const ours = l => l.lane === lane.name && l.decision === 'lane';
            const name = make('span', {}, lane.name);
            name.style.borderBottom = `3px solid ${laneColor(lane.name)}`;
            return [name, make('span', {class: `pill ${tone[lane.state] || 'soft'}`}, lane.state),
              rate(rise(view.now, view.before, 'fairlead_lane_requests_total', ours) / view.seconds),
              sum(view.now, 'fairlead_lane_requests_total', ours),
              lane.expires ? relative(lane.expires) : 'never', laneMembers(lane)];
          });
          $('lanes').replaceChildren(table('Lanes', [{name: 'Lane'}, {name: 'State'},
            {name: 'Rate', number: true}, {name: 'Requests', number: true}, {name: 'Expires'},
            {name: 'Members'}], rows,
            'No Lane documents. A lane is one object: a name and the services that changed.'));
        };

        const drawServices = view => {
          const names = new Set(view.clusters.map(c => c.service));
          for (const s of view.now.get('istio_requests_total') || []) names.add(s.labels.destination_service);
          const rows = [...names].map(service => {
            const own = l => l.destination_service === service;
            const total = rise(view.now, view.before, 'istio_requests_total', own);
            const failed = rise(view.now, view.before, 'istio_requests_total',
              l => own(l) && /^5/.test(l.response_code));
            const [p50, p99] = quantiles(view.now, view.before, 'istio_request_duration_milliseconds',
              own, [.5, .99]);
            const error = make('span', failed ? {class: 'bad'} : {}, percent(failed, total));
            const all = sum(view.now, 'istio_requests_total', own);
            return {order: all, cells: [shortName(service), rate(total / view.seconds), error,
              milliseconds(p50), milliseconds(p99), all]};
          }).sort((a, b) => b.order - a.order).slice(0, 200).map(row => row.cells);
          $('services').replaceChildren(table('Services', [{name: 'Service'}, {name: 'Rate', number: true},
            {name: '5xx', number: true}, {name: 'Median', number: true}, {name: '99 %', number: true},
            {name: 'Requests', number: true}], rows, 'No services are configured.'));
        };

        const drawEvents = (view, id, metric, kind, empty) => {
          const rows = (view.now.get(metric) || []).filter(s => s.value > 0)
            .sort((a, b) => b.value - a.value).slice(0, 100)
            .map(s => [s.labels[kind], s.labels.lane || '–', shortName(s.labels.service), s.value]);
          $(id).replaceChildren(table(id, [{name: kind === 'reason' ? 'Reason' : 'Carrier'}, {name: 'Lane'},
            {name: 'Service'}, {name: 'Times', number: true}], rows, empty));
        };

        """#

    private static let running = #"""

        const history = {rps: [], err: [], lat: [], own: []};
        const remember = (key, value, color) => {
          history[key].push(value || 0);
          if (history[key].length > 60) history[key].shift();
          sparkline($('s-' + key), history[key], color);
        };
        const show = (id, main, small) => $(id).replaceChildren(main, ' ', make('small', {}, small || ''));

        const drawFigures = view => {
          const {now, before, seconds} = view;
          const total = rise(now, before, 'istio_requests_total');
          const failed = rise(now, before, 'istio_requests_total', l => /^5/.test(l.response_code));
          const [p50, p99] = quantiles(now, before, 'istio_request_duration_milliseconds', null, [.5, .99]);
          const [own50, own99] = quantiles(now, before, 'fairlead_overhead_seconds', null, [.5, .99])
            .map(s => s === null ? null : s * 1000);
          show('k-rps', short(total / seconds), `${short(sum(now, 'istio_requests_total'))} in all`);
          show('k-err', percent(failed, total), failed ? rate(failed / seconds) : '');
          $('k-err').className = failed ? 'bad' : '';
          show('k-lat', milliseconds(p50), p99 === null ? '' : `99 % within ${milliseconds(p99)}`);
          show('k-own', milliseconds(own50), own99 === null ? '' : `99 % within ${milliseconds(own99)}`);
          show('k-conn', short(sum(now, 'fairlead_downstream_connections_active')),
            `${short(sum(now, 'fairlead_upstream_connections_active'))} to services`);
          const cpu = rise(now, before, 'process_cpu_seconds_total') / seconds;
          show('k-mem', bytes(sum(now, 'process_resident_memory_bytes')),
            `${(100 * cpu).toFixed(0)} % of a CPU`);
          remember('rps', total / seconds, 'var(--accent)');
          remember('err', total ? failed / total : 0, 'var(--bad)');
          remember('lat', p99, 'var(--accent)');
          remember('own', own99, 'var(--accent)');
        };

        const setState = (text, tone) => {
          if ($('state').textContent !== text) $('state').textContent = text;
          $('state').className = `pill ${tone}`;
        };

        let last = null, paused = false, lastAt = 0;

        const json = async path => {
          const response = await fetch(path, {cache: 'no-store'});
          if (!response.ok) throw new Error(`${path}: ${response.status}`);
          return response.json();
        };

        const poll = async () => {
          try {
            const [metrics, ready, config, lanes, clusters] = await Promise.all([
              fetch('metrics', {cache: 'no-store'}).then(r => r.text()), fetch('ready', {cache: 'no-store'}),
              json('config'), json('lanes'), json('clusters')]);
            const word = (await ready.text()).trim();
            setState(ready.ok ? 'ready' : word, ready.ok ? 'good' : 'warn');
            const now = parse(metrics), at = performance.now();
            // The first reading shows averages since the start.
            const seconds = last ? Math.max(.2, (at - last.at) / 1000)
              : Math.max(1, Date.now() / 1000 - sum(now, 'process_start_time_seconds'));
            const view = {now, before: last && last.now, config, lanes: lanes.lanes,
              clusters: clusters.clusters, seconds};
            const {namespace, name, role} = config.proxy;
            $('who').textContent = `${role} ${namespace}/${name}`;
            document.title = `${name}: Fairlead`;
            drawFigures(view);
            drawMap(view);
            drawLanes(view);
            drawServices(view);
            drawEvents(view, 'lost', 'fairlead_lane_lost_total', 'reason', 'None.');
            drawEvents(view, 'restored', 'fairlead_lane_restored_total', 'carrier', 'None was needed.');
            last = {now, at};
            lastAt = Date.now();
          } catch (error) {
            setState(lastAt ? 'not answering' : 'no configuration', 'bad');
            $('age').textContent = lastAt ? `last heard ${relative(lastAt)}` : '';
          }
        };

        const explain = async form => {
          const headers = {};
          for (const line of form.headers.value.split('\n')) {
            const colon = line.indexOf(':');
            if (colon < 1) continue;
            const name = line.slice(0, colon).trim();
            (headers[name] = headers[name] || []).push(line.slice(colon + 1).trim());
          }
          const out = $('explained');
          out.hidden = false;
          try {
            const response = await fetch('explain', {
              method: 'POST', headers: {'content-type': 'application/json'},
              body: JSON.stringify({method: form.method.value, url: form.url.value, headers})});
            const text = await response.text();
            out.textContent = text;
            out.textContent = JSON.stringify(JSON.parse(text), null, 2);
          } catch (error) {
            if (!(error instanceof SyntaxError)) out.textContent = String(error);
          }
        };

        $('explain').addEventListener('submit', event => {
          event.preventDefault();
          // A form's own "method" property hides the field of that name.
          const field = name => event.target.elements.namedItem(name);
          explain({method: field('method'), url: field('url'), headers: field('headers')});
        });
        $('pause').addEventListener('click', event => {
          paused = !paused;
          event.target.setAttribute('aria-pressed', paused);
          event.target.textContent = paused ? 'Resume' : 'Pause';
          $('age').textContent = paused ? 'paused' : '';
        });

        const tick = async () => {
          if (!paused && document.visibilityState === 'visible') {
            await poll();
            if (lastAt && Date.now() - lastAt < 3000) $('age').textContent = '';
          }
          setTimeout(tick, 2000);
        };
        tick();

        """#
}
