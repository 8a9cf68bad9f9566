// Shows a director in a browser: reads the daemon's socket again and again, and changes nothing.
//
// Whatever comes from the daemon is text: it gets into the page by `textContent` alone, with its control characters escaped (`shown`).
// In the order of this file: words, small helpers, the state, its graphs, reading, the head of the page, the list, events, keys.
"use strict";
(() => {
  // ---------------------------------------------------------------- words

  const WORDS = {
    en: {
      loading: "Loading", gone: "The daemon does not answer", badFile: "The desired file is not valid", refused: "Refused",
      failed: "Not in sync", paused: "Paused", unverified: "Not verified", differs: "Not in sync", trial: "Under trial", sync: "In sync",
      notRunning: "No daemon runs", stopped: "Counters are stopped",
      lastData: "Last data at {time}; next attempt in {n} s", attempt: "Reading again",
      noData: "Nothing read yet; next attempt in {n} s",
      clusterCount: ["{n} cluster", "{n} clusters"], serviceCount: ["{n} virtual service", "{n} virtual services"],
      serverCount: ["{n} real server", "{n} real servers"], lastChange: "last change {when}",
      plan: "{add} to add, {edit} to edit, {delete} to delete",
      notices: "Notices", more: ["and {n} more", "and {n} more"], fewer: "Show fewer",
      keepsBadFile: "Bad file", keepsRefused: "Refused", refusedInPart: "Deletions refused", failure: "Failed", retry: "Next attempt",
      pause: "Paused", pauseAll: "everything", override: "Override", overrides: ["{n} more override", "{n} more overrides"],
      drains: "Draining", draining1: ["{n} server, until {time} at the latest", "{n} servers, until {time} at the latest"],
      waits: "Waiting", conflict: "Conflict", warning: "Warning", foreign: "Foreign",
      foreignCount: ["{n} virtual service is not managed by lbd", "{n} virtual services are not managed by lbd"],
      checks: "Checks", open: ["{n} service without a passing server, where all serve", "{n} services without a passing server, where all serve"],
      kept: ["{n} server kept in service though failing", "{n} servers kept in service though failing"],
      fallback: ["{n} service on the fallback", "{n} services on the fallback"],
      failingCount: ["{n} of {of} checked servers failing", "{n} of {of} checked servers failing"],
      stoppedText: "`net.ipv4.vs.run_estimation` is 0: the kernel counts nothing, so that no rates can be shown. Set it to 1.",
      by: "by {who}", until: "until {time}", since: "since {time}", forever: "for ever", drain: "drained", remove: "out of the table", weight: "weight",
      totals: "The whole host", connections: "Connections/s", incoming: "In", outgoing: "Out", active: "Active", inactive: "Inactive",
      activeLong: "Active connections", servers: "Real servers", name: "Name", state: "State", graph: "Last 5 minutes", count: "Connections",
      clusters: "Clusters", unmanaged: "not managed by lbd", search: "Search names and addresses   /", problems: "Problems only", inAll: "In all", sort: "Sort by",
      matches: ["{n} cluster", "{n} clusters"], nothing: "Nothing matches.", empty: "There is no virtual service.", searching: "Reading addresses of servers …",
      serving: "serving", quiesced: "quiesced", failing: "failing", draining: "draining", waiting: "waiting", missing: "missing", none: "no servers",
      inFile: "in the file: {n}", notInFile: "not in the file", wait: "Reading servers …",
      events: "Lately", noEvents: "Nothing has happened yet.", alsoMore: "and {n} more",
      connectionList: "Connections", noConnections: "It has no connections.", moreConnections: "The first {n} are shown.", noList: "The connections could not be read: {why}",
      forward: "Forwarding", scheduler: "Scheduler", file: "File", reason: "Reason", persistent: "Persistent", service: "Virtual service", cluster: "Cluster",
      packetsIn: "Packets in", packetsOut: "Packets out", perSecond: "{n}/s, {all} in all",
      themeAuto: "Theme: automatic", themeLight: "Theme: light", themeDark: "Theme: dark", help: "Keys", close: "Close", keyboard: "Keyboard",
      kSearch: "search", kMove: "next, previous", kFold: "unfold, fold; details of a server", kEnds: "first, last", kProblems: "problems only",
      kKind: "per second, or in all", kTheme: "theme", kLanguage: "language", kEscape: "end the search, close", kHelp: "this help",
      applied: "applied", drift: "drift repaired", refused_event: "refused", conflict_event: "conflict", restored: "restored", edited: "edited",
      rolled_back: "rolled back", override_set: "override set", override_undone: "override undone", override_ended: "override ended",
      pause_set: "pause set", pause_resumed: "pause resumed", pause_ended: "pause ended", drain_ended: "drain ended",
      check_failed: "check failed", check_passed: "check passed", trial_begun: "trial begun", trial_confirmed: "trial confirmed",
      trial_cancelled: "trial cancelled", trial_timed_out: "trial timed out", trial_rolled_back: "trial rolled back",
    },
    zh: {
      loading: "正在读取", gone: "守护进程无响应", badFile: "期望文件无效", refused: "已拒绝",
      failed: "未同步", paused: "已暂停", unverified: "未验证", differs: "未同步", trial: "试运行中", sync: "已同步",
      notRunning: "守护进程未运行", stopped: "计数器已停止",
      lastData: "最后数据时间 {time}；{n} 秒后重试", attempt: "正在重试",
      noData: "尚无数据；{n} 秒后重试",
      clusterCount: "{n} 个集群", serviceCount: "{n} 个虚拟服务", serverCount: "{n} 台真实服务器", lastChange: "最近变更：{when}",
      plan: "待新增 {add}，待修改 {edit}，待删除 {delete}",
      notices: "通知", more: "另有 {n} 条", fewer: "收起",
      keepsBadFile: "文件无效", keepsRefused: "已拒绝", refusedInPart: "拒绝删除", failure: "失败", retry: "下次重试",
      pause: "已暂停", pauseAll: "全部", override: "人工覆盖", overrides: "另有 {n} 个人工覆盖",
      drains: "排空", draining1: "{n} 台服务器，最迟 {time}",
      waits: "等待", conflict: "冲突", warning: "警告", foreign: "外部服务",
      foreignCount: "{n} 个虚拟服务不由 lbd 管理",
      checks: "健康检查", open: "{n} 个服务没有通过检查的服务器，全部继续服务",
      kept: "{n} 台服务器检查失败但仍在服务", fallback: "{n} 个服务由后备服务器承担", failingCount: "{of} 台受检服务器中 {n} 台失败",
      stoppedText: "`net.ipv4.vs.run_estimation` 为 0：内核不计数，无法显示速率。请设为 1。",
      by: "操作者 {who}", until: "至 {time}", since: "自 {time}", forever: "永久", drain: "排空", remove: "移出转发表", weight: "权重",
      totals: "整机", connections: "连接/秒", incoming: "入", outgoing: "出", active: "活动", inactive: "非活动",
      activeLong: "活动连接", servers: "真实服务器", name: "名称", state: "状态", graph: "最近 5 分钟", count: "连接",
      clusters: "集群", unmanaged: "不由 lbd 管理", search: "搜索名称或地址   /", problems: "仅看问题", inAll: "累计", sort: "排序",
      matches: "{n} 个集群", nothing: "没有匹配项。", empty: "没有虚拟服务。", searching: "正在读取服务器地址…",
      serving: "服务中", quiesced: "静默", failing: "失败", draining: "排空中", waiting: "等待中", missing: "缺失", none: "无服务器",
      inFile: "文件中：{n}", notInFile: "文件中没有", wait: "正在读取服务器…",
      events: "最近事件", noEvents: "尚无事件。", alsoMore: "另有 {n} 项",
      connectionList: "连接", noConnections: "没有连接。", moreConnections: "仅显示前 {n} 条。", noList: "无法读取连接：{why}",
      forward: "转发方式", scheduler: "调度算法", file: "文件", reason: "原因", persistent: "会话保持", service: "虚拟服务", cluster: "集群",
      packetsIn: "入包", packetsOut: "出包", perSecond: "{n}/秒，累计 {all}",
      themeAuto: "主题：自动", themeLight: "主题：浅色", themeDark: "主题：深色", help: "按键", close: "关闭", keyboard: "键盘",
      kSearch: "搜索", kMove: "下一行、上一行", kFold: "展开、折叠；服务器详情", kEnds: "首行、末行", kProblems: "仅看问题",
      kKind: "每秒或累计", kTheme: "主题", kLanguage: "语言", kEscape: "结束搜索、关闭", kHelp: "本帮助",
      applied: "已应用", drift: "漂移已修复", refused_event: "已拒绝", conflict_event: "冲突", restored: "已恢复", edited: "已编辑",
      rolled_back: "已回滚", override_set: "设置人工覆盖", override_undone: "撤销人工覆盖", override_ended: "人工覆盖到期",
      pause_set: "已暂停", pause_resumed: "已继续", pause_ended: "暂停到期", drain_ended: "排空结束",
      check_failed: "健康检查失败", check_passed: "健康检查通过", trial_begun: "试运行开始", trial_confirmed: "试运行已确认",
      trial_cancelled: "试运行已取消", trial_timed_out: "试运行超时", trial_rolled_back: "试运行已回退",
    },
  };
  // The kinds of events (src/history/event.rs), and how each looks; one that is not here is read with the next list of events.
  const KINDS = {
    applied: "good", drift: "warn", refused: "bad", conflict: "bad", restored: "good", edited: "info", rolled_back: "info",
    override_set: "info", override_undone: "info", override_ended: "info", pause_set: "warn", pause_resumed: "info", pause_ended: "info",
    drain_ended: "info", check_failed: "bad", check_passed: "good", trial_begun: "warn", trial_confirmed: "good", trial_cancelled: "info",
    trial_timed_out: "warn", trial_rolled_back: "bad",
  };
  const SIGNS = { good: "✓", info: "i", warn: "!", bad: "✕", none: "…" };
  const STATES = ["serving", "quiesced", "draining", "waiting", "failing", "missing"];
  const STATE_SIGNS = { serving: "✓", quiesced: "‖", draining: "↓", waiting: "…", failing: "✕", missing: "?" };
  const COUNTERS = ["connections", "incoming_packets", "outgoing_packets", "incoming_bytes", "outgoing_bytes"];

  // ---------------------------------------------------------------- helpers

  const kept = (key, value) => { // in the browser, where it lets the page do so
    try {
      if (value === undefined) return localStorage.getItem(key);
      localStorage.setItem(key, value);
    } catch { /* The page works without. */ }
    return null;
  };
  let language = kept("language");
  if (!WORDS[language]) {
    const wanted = (navigator.languages || [navigator.language]).map((tag) => String(tag).slice(0, 2).toLowerCase());
    language = wanted.find((tag) => WORDS[tag]) || "en";
  }
  let theme = kept("theme");
  const paintTheme = () => {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  paintTheme(); // before the first paint

  /** The words for a key, with values in the places that `{name}` marks. */
  function word(key, values = {}) {
    let text = WORDS[language][key] ?? key;
    if (Array.isArray(text)) text = text[values.n === 1 ? 0 : 1];
    return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : String(values[name] ?? "")));
  }

  // As `escape::is_harmful` of lbd: controls, and what cannot be seen or turns the direction of writing.
  const HARMFUL = /[\0-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
  /** A text of others for people: what is harmful in it is written as `\n`, `\x1b` or `\u{202e}`. */
  function shown(text) {
    return String(text ?? "").replace(HARMFUL, (letter) => {
      const code = letter.codePointAt(0);
      const short = { 9: "\\t", 10: "\\n", 13: "\\r" }[code];
      return short ?? (code < 0x80 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`);
    });
  }

  const at = (id) => document.getElementById(id);
  /** A new element: attributes, then children; a child that is no element becomes text. */
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }
  /** Writes a text, if it is another one. */
  function put(node, text) {
    if (node.lastPut !== text) node.textContent = node.lastPut = text;
  }
  /** Sets an attribute, or takes it away (null), if it is another one. */
  function set(node, name, value) {
    if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }

  const formats = new Map(); // by what they are made of: to make one is slow
  function format(kind, options) {
    const key = language + kind.name + JSON.stringify(options);
    if (!formats.has(key)) formats.set(key, new kind(language === "zh" ? "zh-CN" : "en-GB", options));
    return formats.get(key);
  }
  function number(value) {
    if (value === null || value === undefined) return "–";
    if (value < 10000) return format(Intl.NumberFormat, {}).format(value);
    return format(Intl.NumberFormat, { notation: "compact", maximumSignificantDigits: 3 }).format(value);
  }
  function bytes(value) {
    if (value === null || value === undefined) return "–";
    let power = 0;
    while (value >= 999.5 && power < 5) { value /= 1000; power += 1; }
    return `${format(Intl.NumberFormat, { maximumSignificantDigits: 3 }).format(value)} ${["B", "kB", "MB", "GB", "TB", "PB"][power]}`;
  }
  const isToday = (time) => new Date(time).toDateString() === new Date().toDateString();
  /** A moment (RFC 3339, or milliseconds) by the clock of the browser; with the day, where it is another one. */
  function moment(time) {
    const date = new Date(time);
    if (Number.isNaN(date.getTime())) return shown(time);
    return format(Intl.DateTimeFormat, isToday(date) ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" }).format(date);
  }
  /** How long ago a moment of the director is, by the clock of the director. */
  function ago(time) {
    const seconds = Math.round((Date.parse(time) - (Date.now() + now.skew)) / 1000);
    if (Number.isNaN(seconds)) return shown(time);
    const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]].find(([, size]) => Math.abs(seconds) >= size) || ["second", 1];
    return format(Intl.RelativeTimeFormat, { numeric: "auto", style: "short" }).format(Math.min(0, Math.trunc(seconds / size)), unit);
  }

  // ---------------------------------------------------------------- the state

  const POLL_MS = 2000; // as often as the kernel sums up its counters
  const STATUS_MS = 5000;
  const LONGEST_WAIT_MS = 15000;
  const NAMES_MS = 60000; // how old the addresses of the servers may be that a search looks at
  const SAMPLES = 150;
  const WINDOW_MS = SAMPLES * POLL_MS;
  const MOST_EVENTS = 100;
  const MOST_CONNECTIONS = 50;

  const now = {
    table: null, status: null, readAt: 0, statusAt: -Infinity, skew: 0, namesAt: -Infinity,
    failures: 0, why: "", nextAt: 0, // of readings in a row
    query: "", only: null, // a state of servers, or "problems"
    kind: kept("kind") === "statistics" ? "statistics" : "rates", sort: kept("sort") || "name", isReversed: false,
    selected: null, // the id of a line
    allNotices: false,
  };
  const clusters = new Map(); // by name; null: of no cluster
  const services = new Map(); // by key
  let ranked = []; // clusters, sorted by name
  let lastId = 0;

  // ---------------------------------------------------------------- graphs: rings of samples that share their times

  const rings = new Set();
  const times = new Float64Array(SAMPLES).fill(NaN);
  let newest = 0;
  function ring() {
    const samples = new Float32Array(SAMPLES).fill(NaN);
    rings.add(samples);
    return samples;
  }
  function nextSample() {
    newest = (newest + 1) % SAMPLES;
    times[newest] = performance.now();
    for (const samples of rings) samples[newest] = NaN;
  }
  const NAMESPACE = "http://www.w3.org/2000/svg";
  /** A graph of its own size, which `drawGraph` fills. */
  function graph() {
    const svg = document.createElementNS(NAMESPACE, "svg");
    for (const [name, value] of [["viewBox", "0 0 300 40"], ["preserveAspectRatio", "none"], ["aria-hidden", "true"], ["class", "graph"]]) svg.setAttribute(name, value);
    svg.append(document.createElementNS(NAMESPACE, "path"), document.createElementNS(NAMESPACE, "path"));
    return svg;
  }
  /** Draws the samples of the last minutes, from 0 to the highest; a gap is where nothing was read. */
  function drawGraph(svg, samples) {
    const end = times[newest];
    let top = 0;
    for (const value of samples) if (value > top) top = value;
    let line = "", area = "", start = null, last = null;
    const close = () => {
      if (start !== null && last !== start) area += `V40H${start}Z`;
      start = null;
    };
    for (let index = 1; index <= SAMPLES; index += 1) {
      const slot = (newest + index) % SAMPLES;
      const age = end - times[slot];
      const value = samples[slot];
      if (!(age <= WINDOW_MS) || Number.isNaN(value)) { close(); continue; }
      const x = (300 - (age * 300) / WINDOW_MS).toFixed(1);
      const y = (38 - (top > 0 ? (value * 36) / top : 0)).toFixed(1);
      if (start !== null && times[slot] - last > 4 * POLL_MS) close();
      line += `${start === null ? "M" : "L"}${x} ${y}`;
      area += start === null ? `M${x} 40V${y}` : `L${x} ${y}`;
      if (start === null) start = x;
      last = times[slot];
    }
    if (start !== null) area += `V40H${start}Z`;
    svg.firstChild.setAttribute("d", area);
    svg.lastChild.setAttribute("d", line);
  }

  // ---------------------------------------------------------------- reading

  async function read(path) {
    const reply = await fetch(path, { cache: "no-store", headers: { Accept: "application/json" }, signal: AbortSignal.timeout(20000) });
    if (reply.ok) return reply.json();
    const problem = await reply.json().catch(() => ({}));
    throw new Error(`${reply.status} ${problem.detail || problem.title || reply.statusText}`);
  }

  const sum = (rows, name) => {
    const total = {};
    for (const counter of COUNTERS) total[counter] = 0;
    let isKnown = false;
    for (const { row } of rows) {
      if (!row[name]) continue;
      isKnown = true;
      for (const counter of COUNTERS) total[counter] += row[name][counter] || 0;
    }
    return isKnown ? total : null;
  };
  /** How bad it is with servers in these states: 3 none serves, 2 some do not work, 1 some are out of service on purpose. */
  function severity(states, isMissing) {
    const all = STATES.reduce((total, name) => total + (states[name] || 0), 0);
    if (isMissing || (all > 0 && !states.serving)) return 3;
    if (states.failing || states.missing) return 2;
    return states.quiesced || states.draining || states.waiting ? 1 : 0;
  }
  function forget(thing) {
    rings.delete(thing.ring);
    if (thing.servers) thing.servers.forEach(forget);
  }

  function takeTable(table) {
    now.table = table;
    now.skew = (Date.parse(table.at) || Date.now()) - Date.now();
    nextSample();
    const seen = new Set();
    for (const cluster of clusters.values()) cluster.services = [];
    let areNew = false;
    for (const row of table.services || []) {
      const name = row.cluster ?? null;
      let cluster = clusters.get(name);
      if (!cluster) {
        cluster = { kind: "cluster", id: ++lastId, name, services: [], isOpen: false, ring: ring() };
        clusters.set(name, cluster);
        areNew = true;
      }
      let service = services.get(row.service);
      if (!service) {
        service = { kind: "service", id: ++lastId, key: row.service, isOpen: false, ring: ring(), servers: null, addresses: "" };
        services.set(row.service, service);
      }
      service.row = row;
      service.cluster = cluster;
      service.text = `${name ?? ""}\n${row.service}`.toLowerCase();
      service.states = row.servers_by_state || {};
      service.severity = severity(service.states, row.state === "missing");
      service.ring[newest] = row.rates?.connections ?? NaN;
      cluster.services.push(service);
      seen.add(row.service);
    }
    for (const [key, service] of services) {
      if (!seen.has(key)) { services.delete(key); forget(service); }
    }
    for (const [name, cluster] of clusters) {
      if (cluster.services.length === 0) { clusters.delete(name); forget(cluster); areNew = true; continue; }
      const states = {};
      for (const name of STATES) states[name] = cluster.services.reduce((total, service) => total + (service.states[name] || 0), 0);
      const add = (key) => cluster.services.reduce((total, { row }) => total + (row[key] || 0), 0);
      cluster.states = states;
      cluster.severity = Math.max(...cluster.services.slice(0, 1000).map((service) => service.severity));
      cluster.row = {
        rates: sum(cluster.services, "rates"), statistics: sum(cluster.services, "statistics"),
        active: add("active"), inactive: add("inactive"), persistent: add("persistent"),
      };
      cluster.ring[newest] = cluster.row.rates?.connections ?? NaN;
    }
    if (areNew) {
      const { compare } = new Intl.Collator("en", { numeric: true });
      ranked = [...clusters.values()].sort((one, other) => (one.name === null) - (other.name === null) || compare(one.name ?? "", other.name ?? ""));
      ranked.forEach((cluster, rank) => { cluster.rank = rank; });
    }
    sampleTotals(table);
  }

  /** Takes the servers of some clusters, or of all. */
  function takeServers(table, withNames) {
    for (const row of table.services || []) {
      const service = services.get(row.service);
      if (!service || !row.servers) continue;
      if (withNames) service.addresses = row.servers.map((server) => server.server).join("\n").toLowerCase();
      if (!service.isOpen && !(service.cluster.isOpen && service.cluster.services.length === 1)) continue;
      const before = new Map((service.servers || []).map((server) => [server.key, server]));
      service.servers = row.servers.map((row) => {
        const server = before.get(row.server) || { kind: "server", id: ++lastId, key: row.server, ring: ring(), service };
        before.delete(row.server);
        server.row = row;
        server.state = STATES.includes(row.state) ? row.state : "serving";
        server.severity = server.state === "failing" || server.state === "missing" ? 2 : server.state === "serving" ? 0 : 1;
        server.ring[newest] = row.rates?.connections ?? NaN;
        return server;
      });
      before.forEach(forget);
    }
  }

  /** The clusters whose servers are on the screen, or nearly. */
  function unfolded() {
    const names = new Set();
    for (const line of visible()) {
      const cluster = line.kind === "cluster" ? line.of : line.kind === "service" ? line.of.cluster : line.of.service?.cluster ?? line.of.cluster;
      if (cluster && cluster.name !== null && (cluster.services.length === 1 ? cluster.isOpen : cluster.services.some((service) => service.isOpen))) names.add(cluster.name);
    }
    return [...names];
  }

  let timer = null, isReading = false, isAgainWanted = false;
  /** Reads what is due, and arranges for the next time. One reading at a time; none while nobody sees the page. */
  async function poll() {
    clearTimeout(timer);
    if (document.hidden) return;
    if (isReading) { isAgainWanted = true; return; }
    isReading = true;
    isAgainWanted = false;
    const begun = performance.now();
    try {
      takeTable(await read("v1/table?servers=0"));
      let query = "";
      for (const name of unfolded()) {
        const part = `${query ? "&" : "?"}cluster=${encodeURIComponent(name)}`;
        if (query.length + part.length > 6000) break; // the daemon has a limit for the head of a request
        query += part;
      }
      if (query) takeServers(await read(`v1/table${query}`), false);
      if (now.query.length > 1 && begun - now.namesAt > NAMES_MS) {
        takeServers(await read("v1/table"), true);
        now.namesAt = begun;
      }
      if (begun - now.statusAt >= STATUS_MS) {
        now.status = await read("v1/status?services=0");
        now.statusAt = begun;
      }
      now.failures = 0;
      now.why = "";
      now.readAt = Date.now();
      listen();
    } catch (error) {
      now.failures += 1;
      now.why = error.name === "TypeError" ? "" : error.message; // a TypeError: no connection
      silence();
    }
    isReading = false;
    // What takes long is done less often: a fifth of the time at most.
    let wait = Math.max(POLL_MS - (performance.now() - begun), 4 * (performance.now() - begun) - POLL_MS, 100);
    if (now.failures > 0) wait = Math.min(POLL_MS * 2 ** (now.failures - 1), LONGEST_WAIT_MS);
    else if (isAgainWanted) wait = 100;
    now.nextAt = Date.now() + wait;
    paint();
    if (!document.hidden) timer = setTimeout(poll, wait);
  }
  /** Reads everything soon, since something has happened. */
  function pollSoon() {
    now.statusAt = -Infinity;
    if (isReading) isAgainWanted = true;
    else if (now.failures === 0) { clearTimeout(timer); timer = setTimeout(poll, 150); }
  }

  // ---------------------------------------------------------------- the head of the page

  const cards = {};
  function card(key, isBytes) {
    const [label, value, drawing] = [make("h2"), make("strong"), graph()];
    at("totals").append(make("div", { class: "card", id: `total-${key}` }, label, value, drawing));
    cards[key] = { label, value, drawing, isBytes, ring: ring(), last: null };
  }
  function sampleTotals(table) {
    const rates = table.totals?.rates;
    const active = (table.services || []).reduce((total, row) => total + (row.active || 0), 0);
    const values = { connections: rates?.connections, incoming: rates?.incoming_bytes, outgoing: rates?.outgoing_bytes, activeLong: active };
    for (const [key, value] of Object.entries(values)) {
      cards[key].last = value ?? null;
      cards[key].ring[newest] = value ?? NaN;
    }
  }
  function makeTotals() {
    card("connections", false);
    card("incoming", true);
    card("outgoing", true);
    card("activeLong", false);
    const states = make("div", { class: "states" });
    for (const name of STATES) {
      const button = make("button", { type: "button", class: `pill ${name}`, "data-state": name, "aria-pressed": "false" });
      button.addEventListener("click", () => filter(now.only === name ? null : name));
      states.append(button);
    }
    at("totals").append(make("div", { class: "card wide", id: "total-servers" }, make("h2"), states));
  }
  function paintTotals() {
    for (const [key, { label, value, drawing, isBytes, ring, last }] of Object.entries(cards)) {
      put(label, word(key));
      put(value, isBytes ? (last === null ? "–" : `${bytes(last)}/s`) : number(last));
      drawGraph(drawing, ring);
    }
    const box = at("total-servers");
    put(box.firstChild, word("servers"));
    for (const button of box.lastChild.children) {
      const name = button.dataset.state;
      const count = ranked.reduce((total, cluster) => total + cluster.states[name], 0);
      button.hidden = count === 0 && name !== "serving" && now.only !== name;
      put(button, `${STATE_SIGNS[name]} ${number(count)} ${word(name)}`);
      set(button, "aria-pressed", now.only === name);
    }
  }

  /** All that is to be said of the status, the worst first: level, word for the kind, text, and what to do. */
  function notices() {
    const { status, table } = now;
    const all = [];
    const say = (level, key, text, advice) => { if (text) all.push({ level, key, text: shown(text), advice: advice ? shown(advice) : "" }); };
    const who = ({ by, reason, until }) => [by && word("by", { who: by }), until ? word("until", { time: moment(until) }) : word("forever")].filter(Boolean).join(" · ") + (reason ? `: ${reason}` : "");
    if (table?.counters === "stopped") say("warn", "stopped", word("stoppedText"));
    if (!status) return all;
    const daemon = status.daemon?.status || {};
    const health = status.health || {};
    const file = status.file || {};
    say("bad", "keepsBadFile", file.problem ?? daemon.bad_file);
    say("bad", "keepsRefused", status.refused ?? daemon.refused);
    if (!status.refused) say("bad", "refusedInPart", daemon.refused_in_part);
    say("bad", "unverified", status.unverified);
    for (const text of daemon.failed || []) say("bad", "failure", text);
    for (const text of daemon.fights || []) say("bad", "conflict", text);
    if (health.failing_open) say("bad", "checks", word("open", { n: health.failing_open }));
    if (health.kept_in_service) say("bad", "checks", word("kept", { n: health.kept_in_service }));
    say("bad", "checks", health.silent);
    if (daemon.retry_at) say("info", "retry", moment(daemon.retry_at));
    for (const pause of status.paused || []) say("warn", "pause", `${pause.cluster ?? word("pauseAll")} · ${who(pause)}`);
    if (status.trial) say("warn", "trial", `${status.trial.file} · ${who(status.trial)}`);
    if (health.on_fallback) say("warn", "checks", word("fallback", { n: health.on_fallback }));
    if (health.failing) say("warn", "checks", word("failingCount", { n: health.failing, of: health.checked }));
    say("warn", "checks", health.frozen);
    for (const text of health.warnings || []) say("warn", "checks", text);
    for (const warning of status.warnings || []) say("warn", "warning", warning.message, warning.advice);
    const overrides = status.overridden || [];
    for (const one of overrides.slice(0, 5)) say("info", "override", `${one.name} · ${word(one.effect)}${one.effect === "weight" ? ` ${one.weight}` : ""} · ${who(one)}`);
    if (overrides.length > 5) say("info", "override", word("overrides", { n: overrides.length - 5 }));
    const drains = status.draining || [];
    const ends = drains.map((drain) => drain.until).filter(Boolean).sort();
    if (drains.length) say("info", "drains", word("draining1", { n: drains.length, time: moment(ends[ends.length - 1]) }));
    for (const one of status.waiting || []) say("info", "waits", one.operation ?? one);
    if (status.foreign?.length) say("info", "foreign", word("foreignCount", { n: status.foreign.length }));
    const order = { bad: 0, warn: 1, info: 2 };
    return all.sort((one, other) => order[one.level] - order[other.level]);
  }

  /** The one word for everything, and how good it is. */
  function verdict() {
    const { status, table } = now;
    if (now.failures > 0) return ["bad", "gone"];
    if (!table || !status) return ["none", "loading"];
    const daemon = status.daemon?.status || {};
    if (status.daemon && status.daemon.running === false) return ["bad", "notRunning"];
    if (status.file?.problem || daemon.bad_file) return ["bad", "badFile"];
    if (status.refused || daemon.refused || daemon.refused_in_part) return ["bad", "refused"];
    if (status.paused?.length) return ["warn", "paused"];
    if (daemon.failed?.length) return ["bad", "failed"];
    if (status.unverified) return ["bad", "unverified"];
    if (!table.in_sync) return ["bad", "differs"];
    return status.trial ? ["warn", "trial"] : ["good", "sync"];
  }

  function paintHead() {
    const [level, key] = verdict();
    const title = word(key);
    set(at("state"), "data-level", level);
    put(at("sign"), SIGNS[level]);
    put(at("verdict"), title);
    const host = shown(now.table?.host ?? "");
    put(at("host"), host);
    document.title = `${SIGNS[level]} ${host || "lbd"}: ${title}`;
    document.body.classList.toggle("stale", now.failures > 0);
    put(at("clock"), now.readAt ? moment(now.readAt) : "");
    paintSummary();
    const all = notices();
    const shownOnes = now.allNotices ? all : all.slice(0, 6);
    const text = JSON.stringify([language, shownOnes]);
    const list = at("notices");
    if (list.lastText !== text) {
      list.lastText = text;
      list.replaceChildren(...shownOnes.map(({ level, key, text, advice }) => {
        const item = make("li", { class: level }, make("span", { class: "sign", "aria-hidden": "true" }, SIGNS[level]), make("b", {}, word(key)), make("span", { class: "text" }, text));
        if (advice) item.lastChild.append(make("em", {}, advice));
        return item;
      }));
    }
    at("more").hidden = all.length <= 6;
    put(at("more"), now.allNotices ? word("fewer") : word("more", { n: all.length - 6 }));
  }
  /** The line below the verdict; while nothing answers it counts the seconds. */
  function paintSummary() {
    const { table, status } = now;
    let text = "";
    if (now.failures > 0) {
      const n = Math.max(0, Math.ceil((now.nextAt - Date.now()) / 1000));
      text = isReading ? word("attempt") : now.readAt ? word("lastData", { time: moment(now.readAt), n }) : word("noData", { n });
      if (now.why) text += ` (${shown(now.why)})`;
    } else if (table) {
      const count = (key, n) => word(key, { n });
      const servers = ranked.reduce((total, cluster) => total + STATES.reduce((all, name) => all + cluster.states[name], 0), 0);
      const parts = [count("clusterCount", ranked.filter((cluster) => cluster.name !== null).length), count("serviceCount", services.size), count("serverCount", servers)];
      if (status && !table.in_sync && status.summary) parts.unshift(word("plan", status.summary));
      if (status?.last_change) parts.push(word("lastChange", { when: ago(status.last_change.at) }));
      text = parts.join(" · ");
    }
    put(at("summary"), text);
  }

  // ---------------------------------------------------------------- the list

  const COLUMNS = ["name", "state", "weight", "graph", "connections", "incoming", "outgoing", "active", "inactive"];
  const SORTS = {
    name: null,
    state: ({ severity }) => severity,
    connections: ({ row }) => row[now.kind]?.connections ?? -1,
    incoming: ({ row }) => row[now.kind]?.incoming_bytes ?? -1,
    outgoing: ({ row }) => row[now.kind]?.outgoing_bytes ?? -1,
    active: ({ row }) => row.active ?? -1,
    inactive: ({ row }) => row.inactive ?? -1,
  };
  let lines = []; // what there is to scroll through: { kind, of, level, id, top, height }
  const rows = new Map(); // the elements of the lines that are on the screen, by id

  function sorted(things) {
    const value = SORTS[now.sort];
    if (!value) return now.isReversed ? [...things].reverse() : things;
    const sign = now.isReversed ? 1 : -1;
    return things.map((thing, rank) => [value(thing), rank, thing]).sort((one, other) => sign * (one[0] - other[0]) || one[1] - other[1]).map(([, , thing]) => thing);
  }

  /** The services of a cluster that are looked for. */
  function matching(cluster) {
    const query = now.query;
    return cluster.services.filter((service) => {
      if (now.only === "problems" ? service.severity < 2 : now.only && !service.states[now.only]) return false;
      return !query || service.text.includes(query) || service.addresses.includes(query);
    });
  }

  /** Makes the lines: which clusters, services and servers there are to see, and where. */
  function layout() {
    const style = getComputedStyle(at("list"));
    const heights = {};
    for (const kind of ["cluster", "service", "server", "reason"]) heights[kind] = parseFloat(style.getPropertyValue(`--${kind}`));
    lines = [];
    let top = 0, found = 0;
    const add = (kind, of, level, extra = {}) => {
      const height = heights[kind === "wait" ? "server" : kind] + (of.row?.reason && kind === "server" ? heights.reason : 0);
      lines.push({ kind, of, level, id: kind === "wait" ? `wait${of.id}` : `row${of.id}`, top, height, ...extra });
      top += height;
    };
    const addServers = (service, level) => {
      if (service.servers) for (const server of sorted(service.servers)) add("server", server, level);
      else add("wait", service, level);
    };
    for (const cluster of sorted(ranked)) {
      const found_services = matching(cluster);
      if (found_services.length === 0) continue;
      found += 1;
      const isSingle = cluster.services.length === 1;
      add("cluster", cluster, 1, { services: found_services });
      if (!cluster.isOpen) continue;
      if (isSingle) addServers(cluster.services[0], 2);
      else for (const service of sorted(found_services)) {
        add("service", service, 2);
        if (service.isOpen) addServers(service, 3);
      }
    }
    at("lines").style.height = `${top}px`;
    set(at("list"), "aria-rowcount", lines.length + 1);
    const isFiltered = now.query || now.only;
    const isSearching = now.query.length > 1 && now.namesAt === -Infinity;
    put(at("count"), isSearching ? word("searching") : isFiltered ? word("matches", { n: found }) : "");
    at("nothing").hidden = found > 0 || !now.table || isSearching;
    put(at("nothing"), word(isFiltered ? "nothing" : "empty"));
  }

  /** The lines that are on the screen, and a few more on both sides. */
  function visible() {
    const offset = at("lines").getBoundingClientRect().top;
    const [from, to] = [-offset - 200, innerHeight - offset + 200];
    let [low, high] = [0, lines.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lines[middle].top + lines[middle].height < from) low = middle + 1;
      else high = middle;
    }
    let end = low;
    while (end < lines.length && lines[end].top < to) end += 1;
    return lines.slice(low, end);
  }

  function makeRow(id) {
    const row = make("div", { role: "row", id });
    const cells = {};
    for (const name of [...COLUMNS, "reason"]) {
      cells[name] = make("div", { role: "gridcell", class: name });
      row.append(cells[name]);
    }
    cells.graph.append(graph());
    cells.name.append(make("span", { class: "caret", "aria-hidden": "true" }), make("span", { class: "title" }), make("span", { class: "sub" }));
    row.cells = cells;
    return row;
  }

  /** Writes the states of servers: a bar, how many serve, and in words how many do not. */
  function paintStates(cell, states, isMissing) {
    const all = STATES.reduce((total, name) => total + (states[name] || 0), 0);
    const key = JSON.stringify([language, states, isMissing]);
    if (cell.lastPut === key) return;
    cell.lastPut = key;
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    for (const name of STATES) {
      if (!states[name]) continue;
      const part = make("span", { class: name });
      part.style.flexGrow = states[name];
      bar.append(part);
    }
    const others = STATES.filter((name) => name !== "serving" && states[name]).reverse().map((name) => make("span", { class: `text ${name}` }, `${number(states[name])} ${word(name)}`));
    const summary = isMissing ? make("span", { class: "text missing" }, `${STATE_SIGNS.missing} ${word("missing")}`)
      : make("span", { class: "ratio" }, all ? `${number(states.serving || 0)}/${number(all)}` : word("none"));
    cell.replaceChildren(bar, summary, ...others);
    cell.title = STATES.filter((name) => states[name]).map((name) => `${word(name)}: ${states[name]}`).join("\n");
  }

  /** What is beside the name of a cluster. */
  function about({ of, services: found }) {
    const { query } = now;
    if (query && !found.some((service) => service.text.includes(query))) {
      const hit = found[0].addresses.split("\n").find((address) => address.includes(query));
      if (hit) return `→ ${hit}`;
    }
    if (of.services.length > 1) return word("serviceCount", { n: of.services.length });
    return `${of.services[0].key} · ${of.services[0].row.scheduler ?? ""}`;
  }

  function fill(row, line, index) {
    const { kind, of, level } = line;
    const { cells } = row;
    const data = of.row;
    row.className = `row ${kind}`;
    row.style.transform = `translateY(${line.top}px)`;
    row.style.height = `${line.height}px`;
    set(row, "aria-level", level);
    set(row, "aria-rowindex", index + 2);
    set(row, "aria-selected", now.selected === line.id);
    const isFoldable = kind === "cluster" || kind === "service";
    set(row, "aria-expanded", isFoldable ? of.isOpen : null);
    const [caret, title, sub] = cells.name.children;
    put(caret, isFoldable ? (of.isOpen ? "▾" : "▸") : "");
    if (kind === "wait") { put(title, word("wait")); return; }
    if (kind === "cluster") {
      put(title, of.name === null ? word("unmanaged") : shown(of.name));
      put(sub, shown(about(line)));
      set(cells.name, "title", shown([of.name ?? "", ...of.services.slice(0, 20).map((service) => service.key), of.services[0].row.file ?? ""].join(" ")));
    } else if (kind === "service") {
      put(title, shown(of.key));
      put(sub, shown(data.scheduler));
    } else {
      put(title, shown(of.key));
      put(sub, shown(data.forward));
    }
    if (kind === "server") {
      put(cells.state, `${STATE_SIGNS[of.state]} ${word(of.state)}`);
      cells.state.className = `state pill ${of.state}`;
      const isOther = data.file_weight !== undefined && data.file_weight !== data.weight;
      put(cells.weight, isOther ? `${number(data.weight)} (${data.file_weight === null ? "–" : number(data.file_weight)})` : number(data.weight));
      cells.weight.title = isOther ? (data.file_weight === null ? word("notInFile") : word("inFile", { n: data.file_weight })) : "";
      put(cells.reason, reason(data.reason));
      cells.reason.title = cells.reason.lastPut;
    } else {
      paintStates(cells.state, of.states, data.state === "missing");
    }
    const counters = data[now.kind];
    const rate = now.kind === "rates" ? "/s" : "";
    put(cells.connections, number(counters?.connections));
    put(cells.incoming, counters ? bytes(counters.incoming_bytes) + rate : "–");
    put(cells.outgoing, counters ? bytes(counters.outgoing_bytes) + rate : "–");
    put(cells.active, number(data.active));
    put(cells.inactive, number(data.inactive));
    for (const name of COLUMNS) set(cells[name], "data-label", name === "connections" && now.kind === "statistics" ? word("count") : word(name));
    drawGraph(cells.graph.firstChild, of.ring);
  }
  const reason = (of) => (of ? shown(of.text ?? of.kind) : "");

  /** Brings the lines that are on the screen into the page, and takes the others out. */
  function draw() {
    const there = visible();
    const ids = new Set(there.map((line) => line.id));
    for (const [id, row] of rows) if (!ids.has(id)) { row.remove(); rows.delete(id); }
    const first = lines.indexOf(there[0]);
    let before = null; // in the order of the list, for those who hear the page
    there.forEach((line, position) => {
      let row = rows.get(line.id);
      if (!row) { row = makeRow(line.id); rows.set(line.id, row); }
      const wanted = before ? before.nextSibling : at("lines").firstChild;
      if (row !== wanted) at("lines").insertBefore(row, wanted);
      fill(row, line, first + position);
      before = row;
    });
    set(at("list"), "aria-activedescendant", rows.has(now.selected) ? now.selected : null);
  }
  let isDrawing = false;
  function drawSoon() {
    if (isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(() => { isDrawing = false; draw(); });
  }
  function paintList() { layout(); draw(); }

  function paintTools() {
    for (const button of at("head").querySelectorAll("button")) {
      const name = button.dataset.sort;
      put(button, (name === "connections" && now.kind === "statistics" ? word("count") : word(name)) + (now.sort === name ? ((name === "name") === now.isReversed ? " ▾" : " ▴") : ""));
    }
    for (const cell of at("head").children) {
      if (cell.dataset.word) put(cell, word(cell.dataset.word));
      if (cell.dataset.column in SORTS) set(cell, "aria-sort", now.sort !== cell.dataset.column ? "none" : (now.sort === "name") === now.isReversed ? "descending" : "ascending");
    }
    set(at("problems"), "aria-pressed", now.only === "problems");
    set(at("kind"), "aria-pressed", now.kind === "statistics");
    at("sort").value = now.sort;
  }
  function makeTools() {
    for (const name of COLUMNS) {
      const cell = make("div", { role: "columnheader", class: name, "data-column": name });
      if (name in SORTS) {
        const button = make("button", { type: "button", "data-sort": name });
        button.addEventListener("click", () => sortBy(name));
        cell.append(button);
        at("sort").append(make("option", { value: name }));
      } else cell.dataset.word = name;
      at("head").append(cell);
    }
    at("sort").addEventListener("change", () => sortBy(at("sort").value));
    at("problems").addEventListener("click", () => filter(now.only === "problems" ? null : "problems"));
    at("kind").addEventListener("click", switchKind);
    at("search").addEventListener("input", () => {
      now.query = at("search").value.trim().toLowerCase();
      paintList();
      if (now.query.length > 1 && performance.now() - now.namesAt > NAMES_MS) pollSoon();
    });
    at("lines").addEventListener("click", (event) => {
      const row = event.target.closest("[role=row]");
      if (!row || !getSelection().isCollapsed) return;
      select(row.id);
      activate();
    });
    at("more").addEventListener("click", () => { now.allNotices = !now.allNotices; paintHead(); });
    addEventListener("scroll", drawSoon, { passive: true });
    addEventListener("resize", paintList);
  }
  function sortBy(name) {
    now.isReversed = now.sort === name ? !now.isReversed : false;
    now.sort = name;
    kept("sort", name);
    paintTools();
    paintList();
  }
  function filter(only) {
    now.only = only;
    paintTools();
    paintTotals();
    paintList();
  }
  function switchKind() {
    now.kind = now.kind === "rates" ? "statistics" : "rates";
    kept("kind", now.kind);
    paintTools();
    paintList();
  }

  const selectedLine = () => lines.findIndex((line) => line.id === now.selected);
  function select(id) {
    now.selected = id;
    drawSoon();
  }
  /** Selects another line, and scrolls to it. */
  function go(index) {
    const line = lines[Math.max(0, Math.min(lines.length - 1, index))];
    if (!line) return;
    at("list").focus({ preventScroll: true });
    const top = at("lines").getBoundingClientRect().top + line.top;
    const head = at("head").offsetHeight + 8;
    if (top < head) scrollBy(0, top - head);
    else if (top + line.height > innerHeight - 8) scrollBy(0, top + line.height - innerHeight + 8);
    now.selected = line.id;
    draw();
  }
  /** Folds or unfolds the selected line, or shows the details of a server. */
  function activate(wanted) {
    const line = lines[selectedLine()];
    if (!line) return;
    const { kind, of } = line;
    if (kind === "server") {
      if (wanted === false) go(lines.findIndex(({ of: parent }) => parent === of.service || (parent === of.service.cluster && parent.services.length === 1)));
      else showServer(of);
      return;
    }
    if (kind === "wait" || (wanted !== undefined && of.isOpen === wanted)) {
      if (wanted === false && kind === "service") go(lines.findIndex(({ of: parent }) => parent === of.cluster));
      return;
    }
    of.isOpen = !of.isOpen;
    const inside = kind === "service" ? [of] : of.services.length === 1 ? of.services : [];
    if (!of.isOpen) for (const service of inside) { service.servers?.forEach(forget); service.servers = null; }
    // Servers of what lbd does not manage are in no table; the status has their names.
    else if ((of.cluster ?? of).name === null) inside.forEach(nameForeign);
    paintList();
    if (of.isOpen) pollSoon();
  }
  function nameForeign(service) {
    const found = (now.status?.foreign || []).find((row) => row.service === service.key);
    takeServers({ services: [{ service: service.key, servers: (found?.servers || []).map((server) => ({ server, file_weight: undefined })) }] }, false);
  }

  let detailed = null; // the server whose details are shown
  function paintServer() {
    if (!detailed || !at("server").open) return;
    const { row, state, service, key, ring } = detailed;
    put(at("serverName"), shown(key));
    const times = [row.reason?.since && word("since", { time: moment(row.reason.since) }), row.reason?.until && word("until", { time: moment(row.reason.until) })].filter(Boolean).join(" ");
    const both = (name, show) => (row.rates || row.statistics ? word("perSecond", { n: show(row.rates?.[name]), all: show(row.statistics?.[name]) }) : "–");
    const facts = [
      ["state", `${STATE_SIGNS[state]} ${word(state)}`], ["reason", reason(row.reason) + (times ? ` (${times})` : "")],
      ["cluster", shown(service.cluster.name ?? word("unmanaged"))], ["service", shown(service.key)], ["scheduler", shown(service.row.scheduler)],
      ["forward", shown(row.forward)],
      ["weight", number(row.weight) + (row.file_weight === undefined || row.file_weight === row.weight ? "" : ` (${row.file_weight === null ? word("notInFile") : word("inFile", { n: row.file_weight })})`)],
      ["active", number(row.active)], ["inactive", number(row.inactive)], ["persistent", number(row.persistent)],
      ["count", both("connections", number)], ["incoming", both("incoming_bytes", bytes)], ["outgoing", both("outgoing_bytes", bytes)],
      ["packetsIn", both("incoming_packets", number)], ["packetsOut", both("outgoing_packets", number)],
    ].filter(([, text]) => text);
    const list = make("dl");
    for (const [name, text] of facts) list.append(make("dt", {}, word(name)), make("dd", {}, text));
    const drawing = graph();
    drawGraph(drawing, ring);
    at("facts").replaceChildren(drawing, list);
  }
  async function showServer(server) {
    detailed = server;
    at("server").showModal();
    paintServer();
    const box = at("connections");
    const asked = make("p", {}, "…");
    box.replaceChildren(asked);
    const { cluster } = server.service;
    const query = `server=${encodeURIComponent(server.key)}${cluster.name === null ? "" : `&cluster=${encodeURIComponent(cluster.name)}`}`;
    try {
      const found = await firstLines(`v1/connections?${query}`, MOST_CONNECTIONS);
      if (!box.contains(asked)) return; // another server is shown meanwhile
      if (found.length === 0) { put(asked, word("noConnections")); return; }
      const columns = Object.keys(found[0]).filter((name) => !["version", "cluster", "service", "server"].includes(name));
      const table = make("table", {}, make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, shown(name).replaceAll("_", " ")))));
      for (const one of found) table.append(make("tr", {}, ...columns.map((name) => make("td", {}, shown(one[name] ?? "–")))));
      box.replaceChildren(table);
      if (found.length === MOST_CONNECTIONS) box.append(make("p", {}, word("moreConnections", { n: MOST_CONNECTIONS })));
    } catch (error) {
      put(asked, word("noList", { why: shown(error.message) }));
    }
  }
  /** The first lines of a reply of JSON lines, however long it is. */
  async function firstLines(path, most) {
    const stop = new AbortController();
    const reply = await fetch(path, { cache: "no-store", signal: stop.signal });
    if (!reply.ok) throw new Error(String(reply.status));
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "", isEnd = false;
    const split = () => text.split("\n").filter(Boolean);
    while (!isEnd && split().length <= most) {
      const { value, done } = await reader.read();
      text += value ?? "";
      isEnd = done;
    }
    if (!isEnd) stop.abort();
    return split().slice(0, most).map((line) => JSON.parse(line));
  }

  // ---------------------------------------------------------------- events

  let source = null;
  let events = new Map(); // by their JSON, the newest last
  function listen() {
    if (source || document.hidden) return;
    source = new EventSource("v1/events");
    // Once it is connected (again), what happened before is read: no event is missed between the two.
    source.addEventListener("open", readEvents);
    for (const kind of ["message", ...Object.keys(KINDS)]) {
      source.addEventListener(kind, ({ data }) => {
        try { takeEvent(JSON.parse(data)); } catch { return; }
        paintEvents();
        pollSoon();
      });
    }
    // The browser connects again by itself, but not after an answer that is no stream: the next reading that succeeds does.
    source.addEventListener("error", () => { if (source?.readyState === EventSource.CLOSED) silence(); });
  }
  function silence() {
    source?.close();
    source = null;
  }
  function takeEvent(event) {
    const { version, ...rest } = event; // in a list they have none
    const key = JSON.stringify([rest.at, rest.kind, rest.by ?? null, rest.text, rest.clusters ?? []]);
    if (!events.has(key)) events.set(key, rest);
  }
  async function readEvents() {
    try {
      const list = await read(`v1/history?events=1&last=${MOST_EVENTS}`);
      const live = [...events.values()];
      events = new Map();
      for (const event of [...(list.events || []).slice(-MOST_EVENTS), ...live]) takeEvent(event);
      paintEvents();
    } catch { /* The head of the page says that nothing answers. */ }
  }
  function paintEvents() {
    const newestFirst = [...events.values()].sort((one, other) => Date.parse(one.at) - Date.parse(other.at)).slice(-MOST_EVENTS).reverse();
    const name = (kind) => word(`${kind}_event` in WORDS.en ? `${kind}_event` : kind);
    at("events").querySelector("ol").replaceChildren(...newestFirst.map((event) => {
      const level = KINDS[event.kind] ?? "info";
      const time = make("time", { datetime: shown(event.at), title: moment(event.at) }, ago(event.at));
      const head = make("p", {}, make("span", { class: "sign", "aria-hidden": "true" }, SIGNS[level]), make("b", {}, shown(name(event.kind))), time);
      const item = make("li", { class: level }, head, make("p", { class: "text" }, shown(event.text) + (event.by ? ` · ${shown(event.by)}` : "")));
      if (event.clusters?.length) item.append(make("p", { class: "names" }, ...event.clusters.slice(0, 5).map((cluster) => {
        const button = make("button", { type: "button" }, shown(cluster));
        button.addEventListener("click", () => search(cluster));
        return button;
      })));
      if (event.changes?.length) {
        const total = (event.added || 0) + (event.edited || 0) + (event.deleted || 0);
        const changes = event.changes.map((change) => make("li", {}, shown(change)));
        if (total > changes.length) changes.push(make("li", {}, word("alsoMore", { n: total - changes.length })));
        item.append(make("details", {}, make("summary", {}, `+${event.added || 0} ~${event.edited || 0} −${event.deleted || 0}`), make("ul", {}, ...changes)));
      }
      return item;
    }));
    if (newestFirst.length === 0) at("events").querySelector("ol").append(make("li", {}, word("noEvents")));
    put(at("latest"), newestFirst[0] ? `${name(newestFirst[0].kind)} · ${ago(newestFirst[0].at)}` : "");
  }

  // ---------------------------------------------------------------- all of it, languages, keys

  function search(text) {
    at("search").value = text;
    at("search").dispatchEvent(new Event("input"));
  }
  function paint() {
    paintHead();
    paintTotals();
    paintList();
    paintServer();
  }
  const SHORTCUTS = [["/", "kSearch"], ["j k ↓ ↑", "kMove"], ["Enter → ←", "kFold"], ["Home End", "kEnds"], ["p", "kProblems"], ["u", "kKind"], ["t", "kTheme"], ["l", "kLanguage"], ["Esc", "kEscape"], ["?", "kHelp"]];
  function paintWords() {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    for (const node of document.querySelectorAll("body [data-word]")) put(node, word(node.dataset.word));
    for (const node of document.querySelectorAll("[data-label]:not([role=gridcell])")) set(node, node.id === "search" ? "placeholder" : "aria-label", word(node.dataset.label));
    set(at("search"), "aria-label", word("search").split("  ")[0]);
    for (const option of at("sort").options) option.textContent = word(option.value);
    const other = language === "zh" ? "en" : "zh";
    put(at("language"), other === "zh" ? "中文" : "English");
    at("language").lang = other;
    put(at("theme"), word(theme === "light" ? "themeLight" : theme === "dark" ? "themeDark" : "themeAuto"));
    const list = at("shortcuts");
    list.replaceChildren();
    for (const [keys, key] of SHORTCUTS) {
      const term = make("dt");
      for (const one of keys.split(" ")) term.append(make("kbd", {}, one), " ");
      list.append(term, make("dd", {}, word(key)));
    }
    paintTools();
    paintEvents();
    paint();
  }
  function switchLanguage() {
    language = language === "zh" ? "en" : "zh";
    kept("language", language);
    paintWords();
  }
  function switchTheme() {
    theme = theme === "dark" ? "light" : theme === "light" ? "auto" : "dark";
    kept("theme", theme);
    paintTheme();
    put(at("theme"), word(theme === "light" ? "themeLight" : theme === "dark" ? "themeDark" : "themeAuto"));
  }

  const KEYS = {
    "/": () => { at("search").focus(); at("search").select(); },
    "?": () => at("help").showModal(),
    j: () => go(selectedLine() + 1), ArrowDown: () => go(selectedLine() + 1),
    k: () => go(selectedLine() - 1), ArrowUp: () => go(selectedLine() - 1),
    Home: () => go(0), End: () => go(lines.length - 1),
    Enter: () => activate(), ArrowRight: () => activate(true), ArrowLeft: () => activate(false),
    p: () => filter(now.only === "problems" ? null : "problems"), u: switchKind, t: switchTheme, l: switchLanguage,
    Escape: () => { search(""); filter(null); },
  };
  function onKey(event) {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
    if (target.id === "search") {
      if (key === "Escape" && !target.value) target.blur();
      else if (key === "Escape") search("");
      else if (key === "ArrowDown" || key === "Enter") go(0);
      else return;
    } else {
      // Buttons, lists and what folds have keys of their own.
      if (target.closest("select, button, summary") && ["Enter", "ArrowDown", "ArrowUp", "Home", "End"].includes(key)) return;
      if (!Object.hasOwn(KEYS, key)) return;
      KEYS[key]();
    }
    event.preventDefault();
  }

  document.addEventListener("DOMContentLoaded", () => {
    makeTotals();
    makeTools();
    at("events").open = matchMedia("(min-width: 1100px)").matches;
    at("language").addEventListener("click", switchLanguage);
    at("theme").addEventListener("click", switchTheme);
    at("keys").addEventListener("click", KEYS["?"]);
    for (const button of document.querySelectorAll(".close")) button.addEventListener("click", () => button.closest("dialog").close());
    document.addEventListener("keydown", onKey);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { clearTimeout(timer); silence(); }
      else poll();
    });
    setInterval(() => { if (now.failures > 0 && !document.hidden) paintSummary(); }, 1000);
    setInterval(() => { if (!document.hidden) paintEvents(); }, 30000); // how long ago it was
    paintWords();
    poll();
  });
})();
