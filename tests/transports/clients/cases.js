// What a client on @grpc/grpc-js gets: node cases.js PROJECT ADDRESS PREFIX [CA CERTIFICATE KEY]
'use strict';
const fs = require('node:fs');
const { promisify } = require('node:util');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const [root, address, prefix, ...files] = process.argv.slice(2);
const types = protoLoader.loadSync(
  ['configapi/v1/configuration_service.proto', 'google/longrunning/operations.proto',
    'google/rpc/status.proto', 'google/rpc/error_details.proto'],
  { includeDirs: [`${root}/protos`, `${root}/third_party`], longs: String, enums: String, defaults: true },
);
const packages = grpc.loadPackageDefinition(types);
const [ca, certificate, key] = files.map((file) => fs.readFileSync(file));
const credentials = ca ? grpc.credentials.createSsl(ca, key, certificate) : grpc.credentials.createInsecure();
const GZIP = 2;
const application = { name: 'shop' };
const format = 'CONTENT_FORMAT_JSON';
const name = (text) => `${prefix}/${text}`;

const made = [];
function client(options = {}) {
  const all = { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_http_proxy': 0, ...options };
  made.push(new packages.configapi.v1.ConfigurationService(address, credentials, all));
  return made.at(-1);
}
const service = client();
const unary = (on, method) => promisify(on[method].bind(on));
const create = (text, content, on = service, metadata = new grpc.Metadata()) =>
  unary(on, 'createConfiguration')({ application, name: name(text), configJson: JSON.stringify(content) }, metadata);
const get = (text, on = service) =>
  unary(on, 'getConfiguration')({ key: { application: 'shop', name: name(text) }, format });

function codeAndReason(error) {
  const [status] = error.metadata.get('grpc-status-details-bin');
  for (const { type_url: url, value } of status ? types['google.rpc.Status'].deserialize(status).details : []) {
    if (url.endsWith('ErrorInfo')) {
      return `${grpc.status[error.code]} ${types['google.rpc.ErrorInfo'].deserialize(value).reason}`;
    }
  }
  return grpc.status[error.code];
}
const endOf = (promise) => promise.then(() => 'OK', codeAndReason);
const selectors = (text) => [{ application, names: [name(text)] }];

async function drained(call) {
  let count = 0;
  for await (const { items } of call) count += items.length;
  return count;
}

const cases = {
  async unary() {
    await create('unary', { text: 'ä' });
    const { configuration } = await get('unary');
    return `${configuration.version} ${JSON.parse(configuration.configJson).text}`;
  },
  error: () => endOf(get('missing')),
  async watch() {
    const call = service.watchConfigurations({ selectors: selectors('watched'), format });
    let seen = '';
    try {
      for await (const { synced, events } of call) {
        if (synced) await create('watched', { a: 1 });
        if (!events.length) continue;
        seen = `${events[0].configuration.name === name('watched')} ${events[0].configuration.configJson}`;
        call.cancel();
      }
      return `${seen} OK`;
    } catch (error) {
      return `${seen} ${codeAndReason(error)}`;
    }
  },
  deadline: () => endOf(drainedWatch({ deadline: Date.now() + 300 })),
  async upload() {
    const operation = await new Promise((resolve, reject) => {
      const call = service.importConfigurations((error, answer) => (error ? reject(error) : resolve(answer)));
      for (let at = 0; at < 3; at += 1) {
        call.write({ items: [{ application, name: name(`up${at}`), configJson: '{}' }], mode: at ? 0 : 'IMPORT_MODE_PER_ITEM' });
      }
      call.end();
    });
    const operations = new packages.google.longrunning.Operations(address, credentials);
    made.push(operations);
    return String((await unary(operations, 'waitOperation')({ name: operation.name, timeout: { seconds: 20 } })).done);
  },
  async gzip() {
    const zipping = client({ 'grpc.default_compression_algorithm': GZIP });
    await create('zipped', { text: 'x'.repeat(100_000) }, zipping);
    const { configuration } = await get('zipped', zipping);
    return String(JSON.parse(configuration.configJson).text.length);
  },
  async large() {
    const configJson = JSON.stringify({ text: 'x'.repeat(250_000) });
    const names = [...Array(8).keys()].map((at) => name(`large${at}`));
    const writes = names.map((one) => ({ create: { application, name: one, configJson } }));
    await unary(service, 'batchWriteConfigurations')({ writes });
    const refs = names.map((one) => ({ key: { application: 'shop', name: one } }));
    const { results } = await unary(service, 'batchGetConfigurations')({ refs, format });
    return String(results.reduce((sum, { configuration }) => sum + configuration.configJson.length, 0) > 2_000_000);
  },
  async export() {
    const selector = { application, namePrefix: name('large') };
    return String(await drained(service.exportConfigurations({ selector, format })));
  },
  async metadata() {
    const metadata = new grpc.Metadata();
    metadata.set('x-change-request', `CR of ${prefix}`);
    metadata.set('x-trace-bin', Buffer.from([...Array(256).keys()]));
    return (await create('metadata', {}, service, metadata)).configuration.version;
  },
  async many() {
    const found = await Promise.all([...Array(200)].map(() => get('unary')));
    return String(found.length);
  },
};

async function drainedWatch(options) {
  for await (const _ of service.watchConfigurations({ selectors: selectors('nothing'), format }, options));
}

async function main() {
  const found = {};
  for (const [title, run] of Object.entries(cases)) found[title] = await run().catch((error) => `FAILED ${error}`);
  console.log(JSON.stringify(found));
  made.forEach((one) => one.close());
}
main();
