import { expect, test } from 'vitest';
import { MillraceError } from '../core/errors.ts';
import { configFileOf, parseAddress, resolveStart, type StartFlags } from './start-options.ts';

function resolve(flags: StartFlags = {}, environment: Record<string, string> = {}, text?: string) {
  const file = text === undefined ? undefined : { name: 'millrace.conf', text };
  return resolveStart({ flags, environment, file, terminal: false });
}

function faultOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

test('without anything said, a broker listens on loopback and keeps its data here', () => {
  expect(resolve()).toMatchObject({
    data: './millrace-data',
    kafka: { host: '127.0.0.1', port: 9092 },
    amqp: { host: '127.0.0.1', port: 5672, isDefault: true },
    insecure: false,
    logLevel: 'info',
    logFormat: 'json',
  });
});

test('the command line wins over --set, that over the environment, that over the file', () => {
  const file = 'num.partitions = 2\ndata = /file\n# data = /comment\nlog.level=warn\n';
  expect(resolve({}, {}, file).settings.numPartitions).toBe(2);
  expect(resolve({}, { MILLRACE_NUM_PARTITIONS: '3' }, file).settings.numPartitions).toBe(3);
  const all = resolve(
    { data: '/flag', set: ['num.partitions=5'] },
    { MILLRACE_NUM_PARTITIONS: '3', MILLRACE_DATA: '/env' },
    file,
  );
  expect(all.settings.numPartitions).toBe(5);
  expect(all.data).toBe('/flag');
  expect(all.logLevel).toBe('warn');
});

test('AMQP clients connect where it is said, or nowhere', () => {
  expect(resolve({ amqp: ':5673' }).amqp).toEqual({
    host: '127.0.0.1',
    port: 5_673,
    isDefault: false,
  });
  expect(resolve({ amqp: '127.0.0.1:5672' }).amqp?.isDefault).toBe(false);
  expect(resolve({ amqp: 'off' }).amqp).toBeUndefined();
  expect(resolve({}, { MILLRACE_AMQP: 'off' }).amqp).toBeUndefined();
  expect(resolve({}, {}, 'amqp = 127.0.0.1:7').amqp?.port).toBe(7);
});

test('AMQP is listened to where commands find it by the same address', () => {
  expect(resolve({}, { MILLRACE_AMQP: 'amqp://[::1]:5673/' }).amqp).toEqual({
    host: '::1',
    port: 5_673,
    isDefault: false,
  });
  expect(resolve({ amqp: 'amqp://localhost' }).amqp).toMatchObject({ port: 5_672 });
  for (const said of ['amqp://shop:secret@h:5673/shop', 'amqp://shop@h:5673', 'amqp://h:5673/shop'])
    expect(faultOf(() => resolve({}, { MILLRACE_AMQP: said }))).toMatchObject({
      code: 'ML_CONFIG_INVALID',
      message: expect.not.stringContaining('secret'),
      hint: expect.stringContaining('Say --amqp h:5673'),
    });
  // What is said on the command line is all that counts.
  const both = resolve({ amqp: 'h:5673' }, { MILLRACE_AMQP: 'amqp://shop:secret@h:5673/shop' });
  expect(both.amqp?.host).toBe('h');
});

test('HTTP and StatsD are off, or where it is said', () => {
  expect(resolve()).toMatchObject({ http: undefined, statsd: undefined });
  expect(resolve({ http: '8080', statsd: ':8125/metrics' })).toMatchObject({
    http: { host: '127.0.0.1', port: 8_080, origins: [] },
    statsd: { host: '127.0.0.1', port: 8_125, topic: 'metrics' },
  });
  const file = 'http = [::1]:8080\nhttp.origins = https://a.example, https://b.example\n';
  expect(resolve({}, { MILLRACE_STATSD: 'localhost:1/m' }, file)).toMatchObject({
    http: { host: '::1', port: 8_080, origins: ['https://a.example', 'https://b.example'] },
    statsd: { host: 'localhost', port: 1, topic: 'm' },
  });
  expect(resolve({ http: 'off' }, {}, file).http).toBeUndefined();
  for (const statsd of ['8125', '127.0.0.1:8125', '127.0.0.1:8125/', 'metrics'])
    expect(() => resolve({ statsd })).toThrow(/is not host:port\/topic/);
  for (const http of ['host', 'a:b', '127.0.0.1:99999'])
    expect(() => resolve({ http })).toThrow(/is not \[host:\]port/);
});

test('the environment names our own settings without repeating the prefix', () => {
  expect(resolve({}, { MILLRACE_MAX_PARTITIONS: '77' }).settings.maxPartitions).toBe(77);
});

test('what looks like ours in the environment and is not is told', () => {
  expect(
    resolve({}, { MILLRACE_NUM_PARTITION: '3', MILLRACE_SEED: '1', PATH: '/bin' })
      .unknownEnvironment,
  ).toEqual(['MILLRACE_NUM_PARTITION']);
});

test.each([
  ['a file line without =', () => resolve({}, {}, 'num.partitions 3\n'), 'millrace.conf:1'],
  [
    'an unknown name in the file',
    () => resolve({}, {}, '\nnum.partition = 3\n'),
    'millrace.conf:2',
  ],
  ['a value out of range', () => resolve({ set: ['num.partitions=0'] }), 'num.partitions'],
  ['an unknown setting', () => resolve({ set: ['num.partition=1'] }), 'num.partition'],
  ['an address without port', () => resolve({ kafka: 'localhost' }), 'localhost'],
  ['an AMQP address without port', () => resolve({ amqp: 'on' }), "'on' is not host:port"],
  ['a port out of range', () => resolve({ kafka: 'localhost:70000' }), '70000'],
  ['a wrong log level', () => resolve({ logLevel: 'loud' }), 'loud'],
])('%s is refused, and named', (_, act, named) => {
  expect(act).toThrow(MillraceError);
  expect(act).toThrow(named);
});

test('addresses may be IPv6, and leave out loopback', () => {
  expect(parseAddress('[::1]:9092')).toEqual({ host: '::1', port: 9092 });
  expect(parseAddress(':0')).toEqual({ host: '127.0.0.1', port: 0 });
});

test('the flag names the file before the environment does', () => {
  expect(configFileOf({ flags: { config: 'a' }, environment: { MILLRACE_CONFIG: 'b' } })).toBe('a');
  expect(configFileOf({ flags: {}, environment: { MILLRACE_CONFIG: 'b' } })).toBe('b');
});
