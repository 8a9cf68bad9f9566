// Shows a director in a browser: reads the daemon's socket again and again, and changes nothing.
//
// Whatever comes from the daemon is text: it gets into the page by `textContent` alone, with its control characters escaped (`shown`).

// ---- words

const LANGUAGES = ["en", "zh"];
// `{s}` is an s, unless `{n}` is 1. The kinds of events are those of src/history/event.rs, each with how it looks.
const WORDS = {
	loading: ["Loading", "正在读取"],
	gone: ["The daemon does not answer", "守护进程无响应"],
	notRunning: ["No daemon runs", "守护进程未运行"],
	badFile: ["The desired file is not valid", "期望文件无效"],
	refused: ["Refused", "已拒绝"],
	paused: ["Paused", "已暂停"],
	unverified: ["Not verified", "未验证"],
	differs: ["Not in sync", "未同步"],
	trial: ["Under trial", "试运行中"],
	sync: ["In sync", "已同步"],
	lastData: ["Last data at {time}; next attempt in {n} s", "最后数据时间 {time}；{n} 秒后重试"],
	clusterCount: ["{n} cluster{s}", "{n} 个集群"],
	serviceCount: ["{n} virtual service{s}", "{n} 个虚拟服务"],
	serverCount: ["{n} real server{s}", "{n} 台真实服务器"],
	lastChange: ["last change {time}", "最近变更：{time}"],
	plan: ["{add} to add, {edit} to edit, {delete} to delete", "待新增 {add}，待修改 {edit}，待删除 {delete}"],
	more: ["and {n} more", "另有 {n} 项"],

	notices: ["Notices", "通知"],
	stopped: ["Counters", "计数器"],
	stoppedText: ["`net.ipv4.vs.run_estimation` is 0: the kernel does not count, and there are no rates", "`net.ipv4.vs.run_estimation` 为 0：内核不计数，没有速率"],
	retry: ["Next attempt", "下次重试"],
	everything: ["everything", "全部"],
	override: ["Override", "人工覆盖"],
	drainEnd: ["{n} server{s}, until {time} at the latest", "{n} 台服务器，最迟 {time}"],
	warning: ["Warning", "警告"],
	foreign: ["Foreign", "外部服务"],
	foreignCount: ["{n} virtual service{s} not managed by lbd", "{n} 个虚拟服务不由 lbd 管理"],
	checks: ["Checks", "健康检查"],
	open: ["{n} service{s} without a passing server, where all serve", "{n} 个服务没有通过检查的服务器，全部继续服务"],
	kept: ["{n} server{s} kept in service though failing", "{n} 台服务器检查失败但仍在服务"],
	fallback: ["{n} service{s} on the fallback", "{n} 个服务由后备服务器承担"],
	failingCount: ["{n} of {of} checked servers failing", "{of} 台受检服务器中 {n} 台失败"],
	by: ["by {by}", "操作者 {by}"],
	until: ["until {time}", "至 {time}"],
	since: ["since {time}", "自 {time}"],
	forever: ["for ever", "永久"],
	drain: ["drained", "排空"],
	remove: ["out of the table", "移出转发表"],

	totals: ["The whole host", "整机"],
	connections: ["Conn./s", "连接/秒"],
	incoming: ["In", "入"],
	outgoing: ["Out", "出"],
	active: ["Active", "活动"],
	inactive: ["Inactive", "非活动"],
	activeLong: ["Active connections", "活动连接"],
	servers: ["Real servers", "真实服务器"],
	name: ["Name", "名称"],
	state: ["State", "状态"],
	weight: ["Weight", "权重"],
	graph: ["5 minutes", "5 分钟"],
	count: ["Connections", "连接"],
	clusters: ["Clusters", "集群"],
	unmanaged: ["not managed by lbd", "不由 lbd 管理"],
	search: ["Search names and addresses", "搜索名称或地址"],
	problems: ["Problems only", "仅看问题"],
	inAll: ["Totals", "累计"],
	nothing: ["Nothing matches.", "没有匹配项。"],
	empty: ["There is no virtual service.", "没有虚拟服务。"],
	reading: ["Reading the servers …", "正在读取服务器…"],
	serving: ["serving", "服务中"],
	quiesced: ["quiesced", "静默"],
	draining: ["draining", "排空中"],
	waiting: ["waiting", "等待中"],
	failing: ["failing", "失败"],
	missing: ["missing", "缺失"],
	none: ["no servers", "无服务器"],
	inFile: ["in the file: {n}", "文件中：{n}"],
	notInFile: ["not in the file", "文件中没有"],

	noConnections: ["It has no connections.", "没有连接。"],
	firstOnes: ["The first {n} are shown.", "仅显示前 {n} 条。"],
	forward: ["Forwarding", "转发方式"],
	scheduler: ["Scheduler", "调度算法"],
	reason: ["Reason", "原因"],
	persistent: ["Persistent", "会话保持"],
	service: ["Virtual service", "虚拟服务"],
	cluster: ["Cluster", "集群"],
	packetsIn: ["Packets in", "入包"],
	packetsOut: ["Packets out", "出包"],
	perSecond: ["{n}/s, {all} in all", "{n}/秒，累计 {all}"],

	events: ["Lately", "最近事件"],
	noEvents: ["Nothing has happened yet.", "尚无事件。"],
	event_applied: ["applied", "已应用", "good"],
	event_drift: ["drift repaired", "漂移已修复", "warn"],
	event_refused: ["refused", "已拒绝", "bad"],
	event_conflict: ["conflict", "冲突", "bad"],
	event_restored: ["restored", "已恢复", "good"],
	event_edited: ["edited", "已编辑", "info"],
	event_rolled_back: ["rolled back", "已回滚", "info"],
	event_override_set: ["override set", "设置人工覆盖", "info"],
	event_override_undone: ["override undone", "撤销人工覆盖", "info"],
	event_override_ended: ["override ended", "人工覆盖到期", "info"],
	event_pause_set: ["pause set", "已暂停", "warn"],
	event_pause_resumed: ["pause resumed", "已继续", "info"],
	event_pause_ended: ["pause ended", "暂停到期", "info"],
	event_drain_ended: ["drain ended", "排空结束", "info"],
	event_check_failed: ["check failed", "健康检查失败", "bad"],
	event_check_passed: ["check passed", "健康检查通过", "good"],
	event_trial_begun: ["trial begun", "试运行开始", "warn"],
	event_trial_confirmed: ["trial confirmed", "试运行已确认", "good"],
	event_trial_cancelled: ["trial cancelled", "试运行已取消", "info"],
	event_trial_timed_out: ["trial timed out", "试运行超时", "warn"],
	event_counters_zeroed: ["counters set to zero", "计数器清零", "info"],
	event_trial_rolled_back: ["trial rolled back", "试运行已回退", "bad"],

	theme: ["Light or dark", "浅色或深色"],
	close: ["Close", "关闭"],
	keyboard: ["Keys", "按键"],
	keySearch: ["search", "搜索"],
	keyMove: ["next, previous, first, last", "下一行、上一行、首行、末行"],
	keyFold: ["unfold, fold; details of a server", "展开、折叠；服务器详情"],
	keyLanguage: ["language", "语言"],
	keyEscape: ["show all, close", "显示全部、关闭"],
};
const KINDS = Object.keys(WORDS).filter((key) => key.startsWith("event_")).map((key) => key.slice(6));
const SIGNS = { good: "✓", info: "i", warn: "!", bad: "✕", none: "…" };
const STATES = { serving: "✓", quiesced: "‖", draining: "↓", waiting: "…", failing: "✕", missing: "?" };
const STATE_NAMES = Object.keys(STATES);
const isState = (name) => STATE_NAMES.includes(name); // there may be new ones
const stateText = (name) => (isState(name) ? `${STATES[name]} ${word(name)}` : `? ${shown(name)}`);

// ---- helpers

/** What the browser keeps for the page, where it lets it do so. */
function kept(key, value) {
	try {
		if (value === undefined) return localStorage.getItem(key);
		localStorage.setItem(key, value);
	} catch { /* The page works without. */ }
	return null;
}
let language = [kept("language"), ...navigator.languages, "en"].map((tag) => String(tag).slice(0, 2)).find((tag) => LANGUAGES.includes(tag));
let theme = ["light", "dark"].find((one) => one === kept("theme")) ?? "auto";
document.documentElement.dataset.theme = theme; // before the first paint

/** The words for a key, with values in the places that `{name}` marks. */
function word(key, values = {}) {
	const text = WORDS[key]?.[LANGUAGES.indexOf(language)] ?? key;
	const all = { s: values.n === 1 ? "" : "s", ...values };
	return text.replace(/\{(\w+)\}/g, (_, name) => (typeof all[name] === "number" ? number(all[name]) : all[name]));
}

// As `escape::is_harmful`: controls, and what cannot be seen or turns the direction of writing.
const HARMFUL = /[\0-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
/** A text of others for people: what is harmful in it is written as `\n`, `\x1b` or `\u{202e}`. */
function shown(text) {
	return String(text ?? "").replace(HARMFUL, (letter) => {
		const code = letter.codePointAt(0);
		const hex = code.toString(16);
		return { 9: "\\t", 10: "\\n", 13: "\\r" }[code] ?? (code < 0x80 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`);
	});
}

const at = (id) => document.getElementById(id);
const on = (node, event, call) => node.addEventListener(event, call);
/** A new element: attributes, then children; a child that is no element becomes text. */
function make(tag, attributes = {}, ...children) {
	const node = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
	node.append(...children);
	return node;
}
function makeButton(attributes, text, onClick) {
	const button = make("button", { type: "button", ...attributes }, text);
	on(button, "click", onClick);
	return button;
}
const sign = (level) => make("span", { class: "sign", "aria-hidden": "true" }, SIGNS[level]);
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
	if (!Number.isFinite(value)) return "–";
	return format(Intl.NumberFormat, value < 10000 ? {} : { notation: "compact", maximumSignificantDigits: 3 }).format(value);
}
function bytes(value) {
	if (!Number.isFinite(value)) return "–";
	const power = value < 1000 ? 0 : Math.min(5, Math.floor(Math.log10(value * 1.0005) / 3));
	return `${format(Intl.NumberFormat, { maximumSignificantDigits: 3 }).format(value / 1000 ** power)} ${["B", "kB", "MB", "GB", "TB", "PB"][power]}`;
}
/** A moment by the clock of the browser; with the day, where it is another one. */
function moment(time) {
	const date = new Date(time);
	if (Number.isNaN(date.getTime())) return shown(time);
	const isToday = date.toDateString() === new Date().toDateString();
	return format(Intl.DateTimeFormat, isToday ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" }).format(date);
}
/** How long ago a moment of the director is, by the clock of the director. */
function ago(time) {
	const seconds = Math.max(0, (Date.now() + now.skew - Date.parse(time)) / 1000);
	if (Number.isNaN(seconds)) return shown(time);
	const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]].find(([unit, size]) => seconds >= size || unit === "second");
	return format(Intl.RelativeTimeFormat, { numeric: "auto", style: "short" }).format(-Math.floor(seconds / size), unit);
}

// ---- the state

const POLL_MS = 2000; // as often as the kernel sums up its counters
const STATUS_MS = 5000;
const LONGEST_WAIT_MS = 15000;
const ADDRESSES_MS = 60000; // how old the addresses of servers may be that a search looks at
const SAMPLES = 150;
const WINDOW_MS = SAMPLES * POLL_MS;
const MOST_EVENTS = 100;
const MOST_CONNECTIONS = 50;

const now = {
	table: null, status: null, readAt: 0, statusAt: -Infinity, addressesAt: -Infinity, skew: 0,
	failures: 0, why: "", nextAt: 0, // of readings in a row
	query: "", only: null, // a state of servers, or "problems"
	kind: "rates", sort: "name", isReversed: false,
	selected: null, // the id of a line
	detailed: null, // the server whose details are shown
	states: {}, // how many servers are in each state
};
const clusters = new Map(); // by name; null: of no cluster
const services = new Map(); // by key
let ranked = []; // clusters, sorted by name
let lastId = 0;

// ---- graphs: rings of samples that share their times

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
/** A graph, which `drawGraph` fills. */
const graph = () => at("graph").content.firstChild.cloneNode(true);
/** Draws the samples of the last minutes, from 0 to the highest; a gap is where nothing was read. */
function drawGraph(svg, samples) {
	let top = 0, line = "", area = "", start = null, last = 0;
	for (const value of samples) if (value > top) top = value;
	const end = () => {
		if (start !== null) area += `V40H${start}Z`;
		start = null;
	};
	for (let index = 1; index <= SAMPLES; index += 1) {
		const slot = (newest + index) % SAMPLES;
		const age = times[newest] - times[slot];
		if (!(age <= WINDOW_MS) || Number.isNaN(samples[slot]) || times[slot] - last > 4 * POLL_MS) end();
		if (!(age <= WINDOW_MS) || Number.isNaN(samples[slot])) continue;
		const x = (300 - (age * 300) / WINDOW_MS).toFixed(1);
		const y = (38 - (top > 0 ? (samples[slot] * 36) / top : 0)).toFixed(1);
		line += `${start === null ? "M" : "L"}${x} ${y}`;
		area += start === null ? `M${x} 40V${y}` : `L${x} ${y}`;
		start ??= x;
		last = times[slot];
	}
	end();
	svg.firstChild.setAttribute("d", area);
	svg.lastChild.setAttribute("d", line);
}

// ---- reading

async function read(path) {
	const reply = await fetch(path, { cache: "no-store", headers: { Accept: "application/json" }, signal: AbortSignal.timeout(20000) });
	if (reply.ok) return reply.json();
	const problem = await reply.json().catch(() => ({}));
	throw new Error(`${reply.status} ${problem.detail ?? problem.title ?? ""}`);
}

const countAll = (states) => STATE_NAMES.reduce((all, name) => all + (states[name] ?? 0), 0);
/** How bad it is with servers in these states: 3 none serves, 2 some do not work, 1 some are out of service on purpose. */
function severity(states, isMissing) {
	if (isMissing || (countAll(states) > 0 && !states.serving)) return 3;
	if (states.failing || states.missing) return 2;
	return states.quiesced || states.draining || states.waiting ? 1 : 0;
}
/** Takes something that is no more out of the graphs, with its servers. */
function forget(thing) {
	rings.delete(thing.ring);
	thing.servers?.forEach(forget);
}
/** Finds a thing by its key in a map, or makes it. */
function known(things, key, kind, more) {
	if (!things.has(key)) things.set(key, { kind, key, id: ++lastId, ring: ring(), isOpen: false, ...more });
	return things.get(key);
}

function takeTable(table) {
	now.table = table;
	isStatusWanted ||= table.in_sync !== now.status?.in_sync;
	now.skew = (Date.parse(table.at) || Date.now()) - Date.now();
	nextSample();
	const before = clusters.size;
	for (const cluster of clusters.values()) cluster.services = [];
	const seen = new Set();
	for (const row of table.services) {
		const cluster = known(clusters, row.cluster ?? null, "cluster", { services: [] });
		const service = known(services, row.service, "service", { servers: null, addresses: "" });
		const states = row.servers_by_state ?? {};
		Object.assign(service, { row, cluster, states, text: `${cluster.key ?? ""}\n${row.service}`.toLowerCase(), severity: severity(states, row.missing) });
		service.ring[newest] = row.rates?.connections ?? NaN;
		cluster.services.push(service);
		seen.add(service);
	}
	for (const [key, service] of services) if (!seen.has(service) && services.delete(key)) forget(service);
	for (const [key, cluster] of clusters) if (cluster.services.length === 0 && clusters.delete(key)) forget(cluster);
	now.states = Object.fromEntries(STATE_NAMES.map((name) => [name, 0]));
	clusters.forEach(addUp);
	if (clusters.size !== before || ranked.some((cluster) => !clusters.has(cluster.key))) {
		const { compare } = new Intl.Collator("en", { numeric: true });
		ranked = [...clusters.values()].sort((one, other) => (one.key === null) - (other.key === null) || compare(one.key, other.key));
	}
	const { connections, incoming_bytes: incoming, outgoing_bytes: outgoing } = table.totals?.rates ?? {};
	const activeLong = ranked.reduce((all, { row }) => all + row.active, 0);
	for (const [key, value] of Object.entries({ connections, incoming, outgoing, activeLong })) cards[key].ring[newest] = cards[key].last = value ?? NaN;
}
/** A row for a cluster: the sums of those of its services. */
function addUp(cluster) {
	const all = cluster.services;
	const add = (name) => {
		const sums = {};
		for (const { row } of all) for (const [key, value] of Object.entries(row[name] ?? {})) sums[key] = (sums[key] ?? 0) + value;
		return sums;
	};
	const sum = (name) => all.reduce((sum, { row }) => sum + (row[name] ?? 0), 0);
	const [first] = all;
	cluster.row = all.length === 1 ? first.row : { rates: add("rates"), statistics: add("statistics"), active: sum("active"), inactive: sum("inactive") };
	cluster.states = all.length === 1 ? first.states : add("servers_by_state");
	cluster.severity = Math.max(...all.map(({ severity }) => severity));
	cluster.ring[newest] = cluster.row.rates?.connections ?? NaN;
	for (const name of STATE_NAMES) now.states[name] += cluster.states[name] ?? 0;
}

/** Whether the servers of a service are among the lines. Those of what lbd does not manage are in no reading. */
const isUnfolded = ({ isOpen, cluster }) => cluster.key !== null && (cluster.services.length === 1 ? cluster.isOpen : isOpen);
/** Takes the servers of what is unfolded, and the addresses of all, by which a search finds them. */
function takeServers(table) {
	for (const row of table.services) {
		const service = services.get(row.service);
		if (!service || !row.servers) continue;
		service.addresses = row.servers.map(({ server }) => server).join("\n").toLowerCase();
		if (!isUnfolded(service)) continue;
		const before = new Map((service.servers ?? []).map((server) => [server.key, server]));
		const after = new Map();
		for (const server of row.servers) {
			const one = before.get(server.server) ?? known(after, server.server, "server", { service });
			Object.assign(one, { row: server, severity: severity({ serving: 1, [server.state]: 1 }) });
			one.ring[newest] = server.rates?.connections ?? NaN;
			after.set(one.key, one);
			before.delete(one.key);
		}
		before.forEach(forget);
		service.servers = [...after.values()];
	}
}

let timer = null, isReading = false, isMoreWanted = false, isStatusWanted = false;
/** Reads what is due, and arranges for the next time. One reading at a time; none while nobody sees the page. */
async function poll() {
	clearTimeout(timer);
	if (document.hidden || isReading) return;
	isReading = true;
	isMoreWanted = false;
	const begun = performance.now();
	try {
		takeTable(await read("v1/table?servers=0"));
		// The servers that are on the screen, or nearly.
		const there = visible().map(({ of }) => of.service ?? (of.cluster ? of : of.services[0])).filter(isUnfolded);
		const names = new Set(there.map(({ cluster }) => cluster.key));
		let query = "";
		for (const name of names) {
			const next = `${query && `${query}&`}cluster=${encodeURIComponent(name)}`;
			if (next.length < 6000) query = next; // the daemon has a limit for the head of a request
		}
		if (query) takeServers(await read(`v1/table?${query}`));
		if (now.query.length > 1 && begun - now.addressesAt > ADDRESSES_MS) {
			takeServers(await read("v1/table"));
			now.addressesAt = begun;
		}
		if (isStatusWanted || begun - now.statusAt >= STATUS_MS) {
			isStatusWanted = false;
			now.status = await read("v1/status?services=0");
			now.statusAt = begun;
		}
		now.failures = 0;
		now.why = "";
		now.readAt = Date.now();
		listen();
	} catch (error) {
		now.failures += 1;
		now.why = error instanceof TypeError ? "" : error.message; // a TypeError: there is no connection
		silence();
	}
	isReading = false;
	const took = performance.now() - begun;
	let wait = Math.max(POLL_MS - took, 4 * took); // at most a fifth of the time
	if (now.failures > 0) wait = Math.min(POLL_MS * 2 ** (now.failures - 1), LONGEST_WAIT_MS);
	else if (isMoreWanted) wait = 100;
	now.nextAt = Date.now() + wait;
	if (!document.hidden) timer = setTimeout(poll, wait);
	paint();
}
/** Reads soon: something has happened, or more is to be shown. */
function pollSoon() {
	isMoreWanted = true;
	if (isReading || now.failures > 0) return;
	clearTimeout(timer);
	timer = setTimeout(poll, 100);
}

// ---- the head of the page

const cards = {};
function makeTotals() {
	for (const key of ["connections", "incoming", "outgoing", "activeLong"]) {
		const card = { label: make("h2"), value: make("strong"), drawing: graph(), ring: ring(), last: NaN };
		at("totals").append(make("div", { class: "card", id: `total-${key}` }, card.label, card.value, card.drawing));
		cards[key] = card;
	}
	const states = STATE_NAMES.map((name) => makeButton({ class: `pill ${name}` }, "", () => filter(now.only === name ? null : name)));
	at("totals").append(make("div", { class: "card wide" }, make("h2", { "data-word": "servers" }), make("div", { id: "states" }, ...states)));
}
function paintTotals() {
	for (const [key, { label, value, drawing, ring, last }] of Object.entries(cards)) {
		put(label, word(key));
		put(value, key === "incoming" || key === "outgoing" ? rate(bytes(last)) : number(last));
		drawGraph(drawing, ring);
	}
	STATE_NAMES.forEach((name, index) => {
		const button = at("states").children[index];
		const count = now.states[name] ?? 0;
		button.hidden = count === 0 && name !== "serving" && now.only !== name;
		put(button, `${STATES[name]} ${number(count)} ${word(name)}`);
		set(button, "aria-pressed", now.only === name);
	});
}
const rate = (text) => (text === "–" ? text : `${text}/s`);

/** All that is to be said, the worst first. */
function notices() {
	const all = [];
	const say = (level, key, text, advice) => { if (text) all.push({ level, key, text: shown(text), advice: shown(advice) }); };
	const count = (level, key, text, n, more) => { if (n) say(level, key, word(text, { n, ...more })); };
	const condition = (what, { by, reason, until }) => [what, by && word("by", { by }), until ? word("until", { time: moment(until) }) : word("forever"), reason].filter(Boolean).join(" · ");
	if (now.table?.counters === "stopped") say("warn", "stopped", word("stoppedText"));
	if (!now.status) return all;
	const { file, refused, unverified, health = {}, paused = [], trial, overridden = [], draining = [], waiting = [], foreign = [], warnings } = now.status;
	const daemon = now.status.daemon?.status ?? {};
	if (now.status.daemon?.running === false) say("bad", "notRunning", now.status.daemon.not_running_since ?? "–");
	say("bad", "badFile", file?.problem ?? daemon.bad_file);
	say("bad", "refused", refused ?? daemon.refused ?? daemon.refused_in_part);
	say("bad", "unverified", unverified);
	for (const text of daemon.failed ?? []) say("bad", "differs", text);
	if (!now.table.in_sync) say("bad", "differs", word("plan", now.status.summary));
	for (const text of daemon.fights ?? []) say("bad", "event_conflict", text);
	count("bad", "checks", "open", health.failing_open);
	count("bad", "checks", "kept", health.kept_in_service);
	say("bad", "checks", health.silent);
	if (daemon.retry_at) say("info", "retry", moment(daemon.retry_at));
	for (const pause of paused) say("warn", "paused", condition(pause.cluster ?? word("everything"), pause));
	if (trial) say("warn", "trial", condition(trial.file, trial));
	count("warn", "checks", "fallback", health.on_fallback);
	count("warn", "checks", "failingCount", health.failing, { of: health.checked });
	for (const text of [health.frozen, ...(health.warnings ?? [])]) say("warn", "checks", text);
	for (const { message, advice } of warnings ?? []) say("warn", "warning", message, advice);
	for (const one of overridden.slice(0, 5)) say("info", "override", condition(`${one.name} · ${one.effect === "weight" ? `${word("weight")} ${one.weight}` : word(one.effect)}`, one));
	count("info", "override", "more", Math.max(0, overridden.length - 5));
	const ends = draining.map(({ until }) => until ?? "").sort();
	count("info", "draining", "drainEnd", draining.length, { time: moment(ends.at(-1)) });
	for (const one of waiting) say("info", "waiting", one.operation);
	count("info", "foreign", "foreignCount", foreign.length);
	return ["bad", "warn", "info"].flatMap((level) => all.filter((one) => one.level === level));
}

/** One word for everything, and how good it is. */
function verdict(all) {
	if (now.failures > 0) return ["bad", "gone"];
	if (!now.status) return ["none", "loading"];
	const { level, key } = ["notRunning", "badFile", "refused", "paused", "unverified", "differs", "trial"].map((key) => all.find((one) => one.key === key)).find(Boolean) ?? { level: "good", key: "sync" };
	return [level, key];
}

function paintHead() {
	const all = notices();
	const [level, key] = verdict(all);
	const host = shown(now.table?.host);
	set(at("state"), "data-level", level);
	put(at("sign"), SIGNS[level]);
	put(at("verdict"), word(key));
	put(at("host"), host);
	document.title = `${SIGNS[level]} ${host || "lbd"}: ${word(key)}`;
	document.body.classList.toggle("stale", now.failures > 0);
	put(at("clock"), now.readAt ? moment(now.readAt) : "");
	paintSummary();
	const text = JSON.stringify([language, all]);
	if (at("notices").lastPut !== text) {
		at("notices").lastPut = text;
		at("notices").replaceChildren(...all.map(({ level, key, text, advice }) =>
			make("li", { class: level }, sign(level), make("b", {}, word(key)), make("span", { class: "text" }, text, make("em", {}, advice)))));
	}
}
/** The line below the verdict; while nothing answers it counts the seconds. */
function paintSummary() {
	const { table, status, failures, readAt, why } = now;
	let parts = [];
	if (failures > 0) {
		const n = Math.max(0, Math.ceil((now.nextAt - Date.now()) / 1000));
		parts = [word("lastData", { time: readAt ? moment(readAt) : "–", n }), shown(why)];
	} else if (table) {
		const count = (key, n) => word(key, { n });
		parts = [
			count("clusterCount", ranked.filter(({ key }) => key !== null).length), count("serviceCount", services.size),
			count("serverCount", countAll(now.states)),
			status?.last_change && word("lastChange", { time: ago(status.last_change.at) }),
		];
	}
	put(at("summary"), parts.filter(Boolean).join(" · "));
}

// ---- the list

const COLUMNS = ["name", "state", "weight", "graph", "connections", "incoming", "outgoing", "active", "inactive"];
const SORTS = {
	name: null,
	state: ({ severity }) => severity,
	connections: ({ row }) => row[now.kind]?.connections,
	incoming: ({ row }) => row[now.kind]?.incoming_bytes,
	outgoing: ({ row }) => row[now.kind]?.outgoing_bytes,
	active: ({ row }) => row.active,
	inactive: ({ row }) => row.inactive,
};
const columnWord = (name) => word(name === "connections" && now.kind === "statistics" ? "count" : name);
let lines = []; // what there is to scroll through: { kind, of, level, id, top, height }
const rows = new Map(), spare = []; // the elements of the lines that are on the screen, by id, and those of others

function sorted(things) {
	const value = SORTS[now.sort];
	const sign = now.isReversed ? 1 : -1;
	if (!value) return now.isReversed ? [...things].reverse() : things;
	const keyed = things.map((thing, rank) => [value(thing) ?? -1, rank, thing]);
	return keyed.sort((one, other) => sign * (one[0] - other[0]) || one[1] - other[1]).map(([, , thing]) => thing);
}
/** Whether a service is looked for. */
function isWanted(service) {
	if (now.only === "problems" ? service.severity < 2 : now.only && !service.states[now.only]) return false;
	return !now.query || service.text.includes(now.query) || service.addresses.includes(now.query);
}

/** Makes the lines, from what is looked for and unfolded. */
function layout() {
	const style = getComputedStyle(at("list"));
	const heights = Object.fromEntries(["cluster", "service", "server", "reason"].map((kind) => [kind, parseFloat(style.getPropertyValue(`--${kind}`))]));
	let top = 0, found = 0;
	lines = [];
	const add = (kind, of, level) => {
		const height = (heights[kind] ?? heights.server) + (kind === "server" && of.row.reason ? heights.reason : 0);
		lines.push({ kind, of, level, id: `${kind}${of.id}`, top, height });
		top += height;
	};
	const addServers = (service, level) => {
		if (service.servers) sorted(service.servers).forEach((server) => add("server", server, level));
		else add("wait", service, level);
	};
	for (const cluster of sorted(ranked)) {
		const wanted = cluster.services.filter(isWanted);
		if (wanted.length === 0) continue;
		found += 1;
		cluster.first = wanted[0];
		add("cluster", cluster, 1);
		if (!cluster.isOpen) continue;
		if (isUnfolded(cluster.services[0]) && cluster.services.length === 1) addServers(cluster.services[0], 2);
		else for (const service of sorted(wanted)) {
			add("service", service, 2);
			if (isUnfolded(service)) addServers(service, 3);
		}
	}
	at("lines").style.height = `${top}px`;
	set(at("list"), "aria-rowcount", lines.length + 1);
	const isFiltered = now.query || now.only;
	const isSearching = now.query.length > 1 && now.addressesAt === -Infinity;
	put(at("count"), isSearching ? word("reading") : isFiltered ? word("clusterCount", { n: found }) : "");
	at("nothing").hidden = found > 0 || !now.table || isSearching;
	put(at("nothing"), word(isFiltered ? "nothing" : "empty"));
}

/** The lines that are on the screen, and a few more on both sides. */
function visible() {
	const offset = at("lines").getBoundingClientRect().top;
	let [low, high] = [0, lines.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (lines[middle].top + lines[middle].height < -offset - 200) low = middle + 1;
		else high = middle;
	}
	let end = low;
	while (end < lines.length && lines[end].top < innerHeight - offset + 200) end += 1;
	return lines.slice(low, end);
}

function makeRow() {
	const cells = Object.fromEntries([...COLUMNS, "reason"].map((name) => [name, make("div", { role: "gridcell", class: name })]));
	cells.graph.append(graph());
	cells.name.append(make("span", { class: "caret", "aria-hidden": "true" }), make("span", { class: "title" }), make("span", { class: "sub" }));
	const row = make("div", { role: "row" }, ...Object.values(cells));
	row.cells = cells;
	return row;
}

/** Writes the states of servers: a bar, how many serve, and how many do not. */
function paintStates(cell, states, isMissing) {
	const key = JSON.stringify([language, states, isMissing]);
	if (cell.lastPut === key) return;
	cell.lastPut = key;
	const bar = make("span", { class: "bar", "aria-hidden": "true" });
	const there = STATE_NAMES.filter((name) => states[name]);
	for (const name of there) bar.append(make("span", { class: name }));
	there.forEach((name, index) => { bar.children[index].style.flexGrow = states[name]; });
	const all = countAll(states);
	const others = there.filter((name) => name !== "serving").reverse().map((name) => make("span", { class: name }, `${number(states[name])} ${word(name)}`));
	const ratio = make("span", {}, all ? `${number(states.serving ?? 0)}/${number(all)}` : word("none"));
	const parts = isMissing ? [make("span", { class: "missing" }, stateText("missing"))] : [ratio, ...others];
	cell.replaceChildren(bar, ...parts);
	cell.title = parts.map(({ textContent }) => textContent).join(", ");
}

/** What is below the name of a cluster. */
function about({ services, first }) {
	const hit = now.query && !first.text.includes(now.query) && first.addresses.split("\n").find((address) => address.includes(now.query));
	if (hit) return `→ ${hit}`;
	return services.length > 1 || first.cluster.key === null ? word("serviceCount", { n: services.length }) : `${first.key} · ${first.row.scheduler}`;
}
/** The weight of a server, and that of the file where it is another one. */
function weight({ weight, file_weight: inFile }, isShort) {
	if (inFile === undefined || inFile === weight) return number(weight);
	return `${number(weight)} (${inFile === null ? (isShort ? "–" : word("notInFile")) : isShort ? number(inFile) : word("inFile", { n: inFile })})`;
}

function fill(row, { kind, of, level, id, top, height }, index) {
	const { cells } = row;
	const data = of.row;
	row.id = id;
	row.className = `row ${kind}`;
	row.style.transform = `translateY(${top}px)`;
	row.style.height = `${height}px`;
	set(row, "aria-level", level);
	set(row, "aria-rowindex", index + 2);
	set(row, "aria-selected", now.selected === id);
	const isFoldable = kind === "cluster" || (kind === "service" && of.cluster.key !== null);
	set(row, "aria-expanded", isFoldable ? of.isOpen : null);
	const [caret, title, sub] = cells.name.children;
	put(caret, isFoldable ? (of.isOpen ? "▾" : "▸") : "");
	put(title, kind === "wait" ? word("reading") : shown(of.key ?? word("unmanaged")));
	const isServer = kind === "server";
	put(sub, kind === "wait" ? "" : shown(kind === "cluster" ? about(of) : data.scheduler ?? data.forward));
	set(cells.name, "title", [title, sub].map((node) => node.textContent).join("\n"));
	cells.state.className = isServer ? `state pill ${isState(data.state) ? data.state : ""}` : "state";
	put(cells.weight, isServer ? weight(data, true) : "");
	set(cells.weight, "title", isServer ? weight(data) : "");
	put(cells.reason, isServer ? shown(data.reason?.text) : "");
	set(cells.reason, "title", cells.reason.textContent);
	if (isServer) put(cells.state, cells.state.title = stateText(data.state));
	else paintStates(cells.state, of.states, data.missing);
	const counters = data[now.kind] ?? {};
	const each = now.kind === "rates" ? rate : (text) => text;
	put(cells.connections, number(counters.connections));
	put(cells.incoming, each(bytes(counters.incoming_bytes)));
	put(cells.outgoing, each(bytes(counters.outgoing_bytes)));
	put(cells.active, number(data.active));
	put(cells.inactive, number(data.inactive));
	for (const name of COLUMNS) set(cells[name], "data-label", columnWord(name));
	drawGraph(cells.graph.firstChild, of.ring);
}

/** Brings the lines that are on the screen into the page, and takes the others out. */
function draw() {
	const there = visible();
	const ids = new Set(there.map(({ id }) => id));
	for (const [id, row] of rows) if (!ids.has(id) && rows.delete(id)) spare.push(row);
	const first = lines.indexOf(there[0]);
	let next = at("lines").firstChild;
	there.forEach((line, index) => {
		const row = rows.get(line.id) ?? spare.pop() ?? makeRow();
		rows.set(line.id, row);
		if (row === next) next = row.nextSibling;
		else at("lines").insertBefore(row, next);
		fill(row, line, first + index);
	});
	spare.forEach((row) => row.remove());
	set(at("list"), "aria-activedescendant", rows.has(now.selected) ? now.selected : null);
}
function paintList() {
	layout();
	draw();
}

function paintTools() {
	for (const cell of at("head").children) {
		const name = cell.dataset.column;
		put(cell.firstChild, columnWord(name));
		if (name in SORTS) set(cell, "aria-sort", now.sort !== name ? "none" : (name === "name") === now.isReversed ? "descending" : "ascending");
	}
	set(at("problems"), "aria-pressed", now.only === "problems");
	set(at("kind"), "aria-pressed", now.kind === "statistics");
}
function makeTools() {
	for (const name of COLUMNS) {
		at("head").append(make("div", { role: "columnheader", class: name, "data-column": name }, name in SORTS ? makeButton({}, "", () => sortBy(name)) : make("span")));
	}
	on(at("problems"), "click", KEYS.p);
	on(at("kind"), "click", KEYS.u);
	on(at("search"), "input", () => {
		now.query = at("search").value.trim().toLowerCase();
		paintList();
		if (now.query.length > 1) pollSoon();
	});
	on(at("lines"), "click", ({ target }) => {
		const row = target.closest("[role=row]");
		if (!row || !getSelection().isCollapsed) return;
		now.selected = row.id;
		activate();
	});
	let isDrawing = false;
	on(window, "scroll", () => {
		if (!isDrawing) requestAnimationFrame(() => { isDrawing = false; draw(); });
		isDrawing = true;
	});
	on(window, "resize", paintList);
}
function sortBy(name) {
	now.isReversed = now.sort === name && !now.isReversed;
	now.sort = name;
	paintTools();
	paintList();
}
function filter(only) {
	now.only = only;
	paintTools();
	paintTotals();
	paintList();
}

const selectedIndex = () => lines.findIndex(({ id }) => id === now.selected);
/** Selects another line, and scrolls to it. */
function go(index) {
	const line = lines[Math.max(0, Math.min(lines.length - 1, index))];
	if (!line) return;
	now.selected = line.id;
	at("list").focus({ preventScroll: true });
	const top = at("lines").getBoundingClientRect().top + line.top;
	const head = at("head").offsetHeight + 8;
	if (top < head) scrollBy(0, top - head);
	else if (top + line.height > innerHeight - 8) scrollBy(0, top + line.height - innerHeight + 8);
	draw();
}
/** Unfolds or folds the selected line (`wanted`: only so), or shows the details of a server. Folding what is folded goes to what it is in. */
function activate(wanted) {
	const index = selectedIndex();
	if (index < 0) return;
	const { kind, of, level } = lines[index];
	const isFoldable = kind === "cluster" || (kind === "service" && of.cluster.key !== null);
	if (wanted === false && !(isFoldable && of.isOpen)) {
		go(lines.findLastIndex((line, above) => above < index && line.level < level));
	} else if (kind === "server") {
		showServer(of);
	} else if (isFoldable && of.isOpen !== wanted) {
		of.isOpen = !of.isOpen;
		for (const service of of.services ?? [of]) if (!isUnfolded(service) && service.servers) {
			service.servers.forEach(forget);
			service.servers = null;
		}
		paintList();
		if (of.isOpen) pollSoon();
	}
}

// ---- the details of a server

function paintServer() {
	if (!at("server").open) return;
	const { row, service, key, ring } = now.detailed;
	const time = (name) => row.reason?.[name] && word(name, { time: moment(row.reason[name]) });
	const both = (name, show) => word("perSecond", { n: show(row.rates?.[name]), all: show(row.statistics?.[name]) });
	const facts = {
		state: stateText(row.state), reason: [row.reason?.text, time("since"), time("until")].filter(Boolean).join(" · "),
		cluster: service.cluster.key, service: service.key, scheduler: service.row.scheduler, forward: row.forward, weight: weight(row),
		active: number(row.active), inactive: number(row.inactive), persistent: number(row.persistent),
		count: both("connections", number), incoming: both("incoming_bytes", bytes), outgoing: both("outgoing_bytes", bytes),
		packetsIn: both("incoming_packets", number), packetsOut: both("outgoing_packets", number),
	};
	const list = make("dl");
	for (const [name, text] of Object.entries(facts)) if (text) list.append(make("dt", {}, word(name)), make("dd", {}, shown(text)));
	const drawing = graph();
	drawGraph(drawing, ring);
	put(at("serverName"), shown(key));
	at("facts").replaceChildren(drawing, list);
}
async function showServer(server) {
	now.detailed = server;
	at("server").showModal();
	paintServer();
	const line = make("p", {}, "…");
	at("connections").replaceChildren(line);
	try {
		const found = await firstLines(`v1/connections?cluster=${encodeURIComponent(server.service.cluster.key)}&server=${encodeURIComponent(server.key)}`);
		if (!line.isConnected) return; // another server is shown meanwhile
		const names = Object.keys(found[0] ?? {}).filter((name) => !["version", "cluster", "service", "server"].includes(name));
		const table = make("table", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, shown(name).replaceAll("_", " ")))));
		for (const one of found) table.append(make("tr", {}, ...names.map((name) => make("td", {}, shown(one[name] ?? "–")))));
		if (found.length > 0) line.before(table);
		put(line, found.length === 0 ? word("noConnections") : found.length === MOST_CONNECTIONS ? word("firstOnes", { n: MOST_CONNECTIONS }) : "");
	} catch (error) {
		put(line, shown(error.message));
	}
}
/** The first of the connections: the reply may have a million lines. */
async function firstLines(path) {
	const stop = new AbortController();
	const reply = await fetch(path, { cache: "no-store", signal: stop.signal });
	if (!reply.ok) throw new Error(reply.status);
	const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
	let text = "", found = [], isEnd = false;
	while (!isEnd && found.length <= MOST_CONNECTIONS) {
		const { value, done } = await reader.read();
		text += value ?? "";
		isEnd = done;
		found = text.split("\n");
	}
	stop.abort();
	return found.filter((line, index) => line && (isEnd || index < found.length - 1)).slice(0, MOST_CONNECTIONS).map((line) => JSON.parse(line));
}

// ---- events

let source = null, lastEvent = "", events = new Map(); // by what they are, in the order of their times
function listen() {
	if (source || document.hidden) return;
	source = new EventSource(`v1/events${lastEvent && `?after=${lastEvent}`}`);
	// What was before is read when the stream is there, so that nothing is missed; a later stream goes on where that was.
	on(source, "open", () => lastEvent || readEvents());
	for (const kind of KINDS) {
		on(source, kind, ({ data, lastEventId }) => {
			lastEvent = lastEventId;
			takeEvents([JSON.parse(data)]);
			isStatusWanted = true;
			pollSoon();
		});
	}
	// (Else the browser connects again by itself.)
	on(source, "error", () => { if (source?.readyState === EventSource.CLOSED) silence(); });
}
function silence() {
	source?.close();
	source = null;
}
async function readEvents() {
	const list = await read(`v1/history?events=1&last=${MOST_EVENTS}`).catch(() => ({})); // the head of the page says that nothing answers
	takeEvents(list.events ?? []);
}
function takeEvents(more) {
	const key = ({ at, kind, by, text }) => JSON.stringify([at, kind, by, text]);
	const all = [...events.values(), ...more].sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
	events = new Map(all.slice(-2 * MOST_EVENTS).map((event) => [key(event), event]));
	paintEvents();
}
function paintEvents() {
	const name = ({ kind }) => (KINDS.includes(kind) ? word(`event_${kind}`) : shown(kind));
	const newestFirst = [...events.values()].slice(-MOST_EVENTS).reverse();
	const items = newestFirst.map((event) => {
		const { kind, text, by, at: time, clusters = [], changes = [], added = 0, edited = 0, deleted = 0 } = event;
		const level = WORDS[`event_${kind}`]?.[2] ?? "info";
		const when = make("time", { datetime: shown(time), title: moment(time) }, ago(time));
		const item = make("li", { class: level }, sign(level), make("b", {}, name(event)), when, make("p", { class: "text" }, shown(text) + (by ? ` · ${shown(by)}` : "")));
		item.append(...clusters.slice(0, 5).map((cluster) => makeButton({}, shown(cluster), () => search(cluster))));
		if (changes.length > 0) {
			const more = added + edited + deleted - changes.length;
			const all = [...changes, ...(more > 0 ? [word("more", { n: more })] : [])].map((change) => make("li", {}, shown(change)));
			item.append(make("details", {}, make("summary", {}, `+${added} ~${edited} −${deleted}`), make("ul", {}, ...all)));
		}
		return item;
	});
	at("events").querySelector("ol").replaceChildren(...(items.length > 0 ? items : [make("li", {}, word("noEvents"))]));
	at("latest").replaceChildren(...newestFirst.slice(0, 1).flatMap((event) => [`${name(event)} · `, make("time", { datetime: shown(event.at) }, ago(event.at))]));
}

// ---- all of it, and the keys

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
function paintWords() {
	document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
	for (const node of document.querySelectorAll("[data-word]")) put(node, word(node.dataset.word));
	for (const node of document.querySelectorAll("[data-name]")) set(node, "aria-label", word(node.dataset.name));
	at("search").placeholder = `${word("search")}  /`;
	put(at("language"), language === "zh" ? "English" : "中文");
	at("language").lang = language === "zh" ? "en" : "zh";
	const shortcuts = { "/": "keySearch", "j k ↓ ↑ Home End": "keyMove", "Enter → ←": "keyFold", p: "problems", u: "inAll", t: "theme", l: "keyLanguage", Esc: "keyEscape", "?": "keyboard" };
	at("shortcuts").replaceChildren(...Object.entries(shortcuts).flatMap(([keys, key]) => [make("dt", {}, ...keys.split(" ").map((one) => make("kbd", {}, one))), make("dd", {}, word(key))]));
	paintTools();
	paintEvents();
	paint();
}

const KEYS = {
	"/": () => at("search").select(),
	"?": () => at("help").showModal(),
	j: () => go(selectedIndex() + 1),
	k: () => go(selectedIndex() - 1),
	Home: () => go(0),
	End: () => go(lines.length - 1),
	Enter: () => activate(),
	ArrowRight: () => activate(true),
	ArrowLeft: () => activate(false),
	Escape: () => { search(""); filter(null); },
	p: () => filter(now.only === "problems" ? null : "problems"),
	u: () => {
		now.kind = now.kind === "rates" ? "statistics" : "rates";
		paintTools();
		paintList();
	},
	t: () => {
		theme = { auto: "dark", dark: "light", light: "auto" }[theme];
		kept("theme", theme);
		document.documentElement.dataset.theme = theme;
	},
	l: () => {
		language = language === "zh" ? "en" : "zh";
		kept("language", language);
		paintWords();
	},
};
Object.assign(KEYS, { ArrowDown: KEYS.j, ArrowUp: KEYS.k });

on(document, "keydown", (event) => {
	const { target, key } = event;
	if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
	if (target.id === "search") {
		if (key === "Escape") search("");
		else if (key === "ArrowDown" || key === "Enter") go(0);
		else return;
	} else if (!Object.hasOwn(KEYS, key) || (key.length > 1 && key !== "Escape" && target.closest("button, summary"))) {
		return; // buttons and lists have keys of their own
	} else KEYS[key]();
	event.preventDefault();
});
on(document, "visibilitychange", () => {
	if (document.hidden) silence();
	else poll();
});
makeTotals();
makeTools();
at("events").open = matchMedia("(min-width: 1241px)").matches;
for (const [id, key] of [["theme", "t"], ["language", "l"], ["keys", "?"]]) on(at(id), "click", KEYS[key]);
for (const button of document.querySelectorAll(".close")) on(button, "click", () => button.closest("dialog").close());
setInterval(() => { if (now.failures > 0) paintSummary(); }, 1000);
setInterval(() => { for (const time of document.querySelectorAll("time")) put(time, ago(time.dateTime)); }, 20000);
paintWords();
poll();
