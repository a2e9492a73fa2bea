import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RawClient } from '../test/kafka/raw-client.ts';
import { type RunningBroker, startBroker } from './broker.ts';
import { messages } from './wire/kafka/registry.ts';

let data: string;
const running: RunningBroker[] = [];

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'millrace-test-'));
});

afterEach(async () => {
  for (const broker of running.splice(0)) await broker.close();
  await rm(data, { recursive: true, force: true });
});

async function start(options: Partial<Parameters<typeof startBroker>[0]> = {}) {
  const broker = await startBroker({ data, kafka: { port: 0 }, ...options });
  running.push(broker);
  return broker;
}

async function addressTold(port: number): Promise<string> {
  const client = await RawClient.open(port);
  const { brokers } = await client.call(messages[3], 12, {
    topics: [],
    includeTopicAuthorizedOperations: false,
  });
  client.close();
  return `${brokers[0]?.host}:${brokers[0]?.port}`;
}

test.each(['0.0.0.0', '::', '192.168.1.7', 'example.com', '127.0.0.1.example.com'])(
  'refuses to listen on %s, which others could reach',
  async (host) => {
    await expect(start({ kafka: { host, port: 0 } })).rejects.toMatchObject({
      code: 'ML_INSECURE_BIND',
      hint: expect.stringContaining('insecure') as string,
    });
  },
);

test('listens everywhere when told that it is insecure, and tells clients the address they came to', async () => {
  const broker = await start({ kafka: { host: '0.0.0.0', port: 0 }, insecure: true });
  expect(await addressTold(broker.port)).toBe(`127.0.0.1:${broker.port}`);
});

test('tells clients the advertised address', async () => {
  const advertised = { host: 'broker.example.com', port: 9999 };
  const broker = await start({ kafka: { port: 0, advertised } });
  expect(await addressTold(broker.port)).toBe('broker.example.com:9999');
});

test('a directory belongs to one broker at a time, and is free after it', async () => {
  const first = await start();
  await expect(start()).rejects.toMatchObject({ code: 'ML_DIR_LOCKED' });
  await first.close();
  await first.close();
  const second = await start();
  expect(second.clusterId).toBe(first.clusterId);
});

test('an address that is taken leaves the directory free', async () => {
  const first = await start();
  const other = join(data, 'other');
  const kafka = { port: first.port };
  await expect(start({ data: other, kafka })).rejects.toMatchObject({ code: 'ML_ADDRESS_IN_USE' });
  expect((await start({ data: other })).dataDir).toBe(other);
});

test('a setting that does not exist stops the start', async () => {
  await expect(start({ settings: { 'num.partition': 3 } })).rejects.toMatchObject({
    code: 'ML_CONFIG_INVALID',
  });
});
