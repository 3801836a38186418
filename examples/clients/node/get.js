// Read one configuration: node get.js ADDRESS APPLICATION NAME
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const root = path.join(__dirname, '../../..'); // the folder of protos/, third_party/ and deploy/
const types = protoLoader.loadSync(
  ['configapi/v1/configuration_service.proto', 'google/rpc/status.proto', 'google/rpc/error_details.proto'],
  // 64-bit integers as text: a number of JavaScript would lose digits.
  { includeDirs: [`${root}/protos`, `${root}/third_party`], longs: String, enums: String, defaults: true },
);
const { ConfigurationService } = grpc.loadPackageDefinition(types).configapi.v1;
const { CONFIGSVC_CA_FILE: caFile, CONFIGSVC_TOKEN_FILE: tokenFile } = process.env;
const options = {
  // The library repeats reads. Writes are not in the file: after UNAVAILABLE, one may have been done.
  'grpc.service_config': fs.readFileSync(`${root}/deploy/service-config.json`, 'utf8'),
  'grpc.keepalive_time_ms': 20_000, // the server refuses pings closer than 10 s
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.use_local_subchannel_pool': 1, // each client has a connection of its own
};

function connect(address) {
  if (!caFile) return new ConfigurationService(address, grpc.credentials.createInsecure(), options);
  const tls = grpc.credentials.createSsl(fs.readFileSync(caFile));
  const credentials = tokenFile ? grpc.credentials.combineChannelCredentials(tls, token) : tls;
  return new ConfigurationService(address, credentials, options);
}

// Sent over TLS only, and read for each call, as tokens expire.
const token = grpc.credentials.createFromMetadataGenerator((_, done) => {
  fs.readFile(tokenFile, 'utf8', (error, text = '') => {
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${text.trim()}`);
    done(error, metadata);
  });
});

const seconds = (duration) => Number(duration.seconds) + duration.nanos / 1e9;

// Without a reason, an error comes from a library or a proxy: its code says nothing.
function detailsOf(error) {
  const found = { code: grpc.status[error.code], text: error.message, reason: '', retrySeconds: 0, faults: {} };
  try {
    const [status] = error.metadata.get('grpc-status-details-bin');
    for (const { type_url: url, value } of types['google.rpc.Status'].deserialize(status).details) {
      const type = url.split('/').pop();
      const detail = types[type]?.deserialize(value);
      if (type === 'google.rpc.ErrorInfo' && detail.domain === 'configsvc') found.reason = detail.reason;
      if (type === 'google.rpc.RetryInfo') found.retrySeconds = seconds(detail.retryDelay);
      for (const fault of detail?.fieldViolations ?? []) found.faults[fault.field] = fault.description; // a BadRequest
    }
  } catch {} // no details, or others than the service sends
  return found;
}

async function get(client, application, name) {
  const request = { key: { application, name }, format: 'CONTENT_FORMAT_JSON' };
  const call = promisify(client.getConfiguration.bind(client));
  const { configuration } = await call(request, { deadline: Date.now() + 30_000 });
  return { name, version: configuration.version, content: JSON.parse(configuration.configJson) };
}

async function main(address, application, name) {
  const client = connect(address);
  try {
    console.log(JSON.stringify(await get(client, application, name)));
  } catch (error) {
    console.log(JSON.stringify(detailsOf(error)));
    process.exitCode = 1;
  } finally {
    client.close();
  }
}

module.exports = { connect, detailsOf, seconds };
if (require.main === module) main(...process.argv.slice(2));
