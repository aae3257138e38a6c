// A kyuud that lets each source have four allocations, behind the proxy of
// stream_proxy.mjs that is named, in a network where 11.1.1.1 and 11.1.1.5 to
// 11.1.1.8 are addresses of ours. Tells who got allocations, and who was refused.

import { killLeftovers, Program, sleep, startKyuud } from '../lib.mjs';
import { clientsIn, kinds, startProxy } from '../stream_proxy.mjs';

const server = await startKyuud('--user', 'alice:secret', '--realm', 'example.org', '--log-format', 'json', '--proxy-protocol-from=127.0.0.1/32',
  '--allocations-per-source', '4', '--turn-listen', '11.1.1.1:0', '--turn-listen', '127.0.0.1:0');
const proxy = await startProxy(kinds[process.argv[2]], new URL(server.url).port, '11.1.1.1');

// coturn's client makes each allocation twice, the second while the first may
// still be there.
async function uclient(local, allocations) {
  const client = new Program('turnutils_uclient', ['-u', 'alice', '-w', 'secret', '-L', local, '-p', String(proxy.port), '-t', '-c',
    '-e', '8.8.8.8', '-r', '9', '-n', '1', '-m', String(allocations), '11.1.1.1']);
  for (let i = 0; i < 100 && client.code === undefined && clientsIn(server, 'allocation_made')
    .filter(({ client: made }) => made === local).length < 2; ++i) await sleep(50);
  await client.stop('SIGKILL');
}
const of = (event) => [...new Set(clientsIn(server, event).map(({ client }) => client))].sort();

await Promise.all(['11.1.1.5', '11.1.1.6', '11.1.1.7'].map((local) => uclient(local, 1)));
const [made, refusedWithin] = [of('allocation_made'), of('allocation_refused')];
const beyond = new Program('turnutils_uclient', ['-u', 'alice', '-w', 'secret', '-L', '11.1.1.8', '-p', String(proxy.port), '-t', '-c',
  '-e', '8.8.8.8', '-r', '9', '-n', '1', '-m', '5', '11.1.1.1']);
for (let i = 0; i < 200 && of('allocation_refused').length === 0; ++i) await sleep(50);
await beyond.stop('SIGKILL');
console.log(JSON.stringify({ made, refusedWithin, refusedBeyond: of('allocation_refused') }));
await proxy.stop('SIGKILL');
await server.stop('SIGKILL');
killLeftovers();
process.exit(0);
