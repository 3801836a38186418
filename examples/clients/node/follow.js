// Keep a copy of an application's configurations: node follow.js ADDRESS APPLICATION [FILE]
'use strict';
const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const { connect, detailsOf, seconds } = require('./get.js');

const [address, application, file] = process.argv.slice(2);
const PROGRESS_SECONDS = process.env.PROGRESS_SECONDS ?? '10';
const FINAL = ['INVALID_ARGUMENT', 'PERMISSION_DENIED'];

// The view is by id, as names can change. Both are replaced together, so that nobody sees half of a commit.
let state = file && fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { token: '', view: {} };

const print = (event) => console.log(JSON.stringify(event));

// What comes with one token belongs together: a commit, or the whole snapshot.
function apply(events, { revision, resumeToken }) {
  const isSnapshot = !state.token;
  const view = isSnapshot ? {} : { ...state.view };
  for (const { effect, configuration: { id, name, version, configJson } } of events) {
    if (effect === 'EFFECT_SET') view[id] = { name, version, content: JSON.parse(configJson) };
    else if (effect === 'EFFECT_REMOVE') delete view[id];
  }
  state = { token: resumeToken, view };
  if (file) {
    fs.writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
    fs.renameSync(`${file}.new`, file);
  }
  const changed = events.map(({ configuration: { name, version } }) => `${name}@${version}`);
  const contents = Object.fromEntries(Object.values(view).map(({ name, content }) => [name, content]));
  if (isSnapshot || changed.length) print({ event: 'view', revision, changed, contents });
}

async function watch(client, progressed) {
  const call = client.watchConfigurations({
    selectors: [{ application: { name: application } }],
    progressInterval: { seconds: PROGRESS_SECONDS },
    format: 'CONTENT_FORMAT_JSON',
    ...(state.token && { resumeToken: state.token }),
  });
  const giveUp = () => { print({ event: 'lost' }); call.cancel(); };
  let lost = 30;
  let watchdog = setTimeout(giveUp, 1000 * lost);
  let pending = [];
  try {
    for await (const message of call) {
      if (message.opened) lost = 3 * seconds(message.opened.progressInterval); // three bookmarks
      clearTimeout(watchdog);
      watchdog = setTimeout(giveUp, 1000 * lost);
      pending = pending.concat(message.events);
      if (!message.resumeToken) continue;
      apply(pending, message);
      pending = [];
      progressed();
    }
  } finally {
    clearTimeout(watchdog);
  }
}

// After any end, the watch is opened again, after a pause that grows and has a random part.
async function follow() {
  for (let delay = 1; ; delay = Math.min(2 * delay, 30)) {
    const client = connect(address);
    const error = await watch(client, () => { delay = 0.5; }).catch((caught) => caught);
    client.close();
    const ended = detailsOf(error ?? new Error('the stream ended'));
    // The history was compacted, or is another one. The view stays until the snapshot is complete.
    if (ended.reason && ended.code === 'OUT_OF_RANGE') state = { token: '', view: state.view };
    print({ event: 'ended', kept: Object.keys(state.view).length, ...ended });
    if (ended.reason && FINAL.includes(ended.code)) return 1; // the same call can never succeed
    await sleep(1000 * (ended.retrySeconds + Math.random() * delay));
  }
}

follow().then(process.exit);
