/** Power cuts at any step, dead processes, virtual time and determinism of the simulated machine. */
import { describe, expect, test } from 'vitest';
import type { Connection, Env, File } from '../env.ts';
import type { MillraceError } from '../errors.ts';
import { readWholeFile, writeFully } from '../files.ts';
import { SimEvents } from './sim-events.ts';
import { SimMachine, SimPowerCut, SimStuck } from './sim-machine.ts';
import { SimRandom } from './sim-random.ts';

const PATH = '/data/journal';
const RECORD_BYTES = 700;

/** A small log as a program: appends numbered records, and tells which are safe. */
class Writer {
  ackedCount = 0;
  private readonly env: Env;
  private readonly mistakes: { readonly acksEarly?: boolean; readonly skipsDirectory?: boolean };

  constructor(env: Env, mistakes: Writer['mistakes'] = {}) {
    this.env = env;
    this.mistakes = mistakes;
  }

  async run(count: number): Promise<void> {
    const { fs } = this.env;
    const file = fs.open(PATH, 'open');
    if (this.mistakes.skipsDirectory !== true) await fs.syncDirectory('/data');
    for (let number = 1; number <= count; number++) {
      const record = Buffer.alloc(RECORD_BYTES, number);
      writeFully(file, record, 0, RECORD_BYTES, (number - 1) * RECORD_BYTES);
      if (this.mistakes.acksEarly === true) this.ackedCount = number;
      if (number % 3 === 0) {
        await file.sync();
        this.ackedCount = Math.max(this.ackedCount, number);
      }
    }
    file.close();
  }
}

/** Records that are whole, from the start. */
function recover(env: Env): number {
  if (env.fs.stat(PATH) === undefined) return 0;
  const bytes = readWholeFile(env.fs, PATH);
  let number = 1;
  while (number * RECORD_BYTES <= bytes.length) {
    const record = bytes.subarray((number - 1) * RECORD_BYTES, number * RECORD_BYTES);
    if (!record.every((byte) => byte === number)) break;
    number++;
  }
  return number - 1;
}

/** How many of the seeds lose an acknowledged record when the power goes at some step. */
async function lossesOver(seedCount: number, mistakes: Writer['mistakes']): Promise<number> {
  let lossCount = 0;
  for (let seed = 0; seed < seedCount; seed++) {
    const machine = new SimMachine(seed);
    machine.faults.shortWriteProbability = 0.1;
    machine.cutAtStep(1 + (seed % 50));
    const writer = new Writer(machine.boot(), mistakes);
    await expectCut(machine.run(writer.run(30)));
    if (recover(machine.reboot()) < writer.ackedCount) lossCount++;
  }
  return lossCount;
}

async function expectCut(running: Promise<unknown>): Promise<void> {
  const reason: unknown = await running.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(reason instanceof SimPowerCut)) throw new Error('no power cut', { cause: reason });
}

describe('power cuts', () => {
  test('a program that syncs before it acknowledges loses nothing', async () => {
    expect(await lossesOver(300, {})).toBe(0);
  });

  test('a program that acknowledges before it syncs is caught', async () => {
    expect(await lossesOver(100, { acksEarly: true })).toBeGreaterThan(20);
  });

  test('a program that does not sync the directory of a new file is caught', async () => {
    expect(await lossesOver(100, { skipsDirectory: true })).toBeGreaterThan(20);
  });

  test('every step can be the last', async () => {
    const whole = new SimMachine(5);
    await whole.run(new Writer(whole.boot()).run(6));
    expect(whole.stepCount).toBeGreaterThan(12);
    for (let step = 1; step <= whole.stepCount; step++) {
      const machine = new SimMachine(5);
      machine.cutAtStep(step);
      await expectCut(machine.run(new Writer(machine.boot()).run(6)));
      expect(machine.stepCount).toBe(step);
    }
  });

  test('a dead process touches nothing, and waits for ever', async () => {
    const machine = new SimMachine(1);
    const env = machine.boot();
    const file = env.fs.open(PATH, 'create');
    const settled: string[] = [];
    const note = (name: string, promise: Promise<unknown>): void => {
      promise.then(
        () => settled.push(name),
        () => settled.push(name),
      );
    };
    note('sync under way', file.sync());
    note('sleep under way', env.timers.sleep(1));
    env.timers.after(1, () => settled.push('timer'));
    machine.powerCut();
    const byte = Buffer.alloc(1);
    const calls = [
      () => env.fs.open(PATH, 'open'),
      () => env.fs.stat(PATH),
      () => env.fs.list('/data'),
      () => env.fs.makeDirectory('/data/d'),
      () => env.fs.rename(PATH, '/data/b'),
      () => env.fs.lock('/data'),
      () => file.write(byte, 0, 1, 0),
      () => file.truncate(10),
      () => file.size(),
    ];
    for (const call of calls) expect(call).toThrow(SimPowerCut);
    note('sync', file.sync());
    note('write', file.writeManyAsync([byte], 0));
    note('remove', env.fs.remove(PATH));
    note('directory', env.fs.syncDirectory('/data'));
    note(
      'listen',
      env.net.listen({ host: '127.0.0.1', port: 0 }, () => {}),
    );
    file.close();
    const after = machine.reboot();
    const before = machine.stepCount;
    await machine.runFor(10_000);
    expect(settled).toEqual([]);
    expect(machine.stepCount).toBe(before);
    expect(after.fs.list('/data').join()).toMatch(/^(journal)?$/);
  });

  test('a kill loses nothing that was written, and frees the lock', async () => {
    const machine = new SimMachine(1);
    const first = machine.boot();
    first.fs.lock('/data');
    const file = first.fs.open(PATH, 'create');
    file.write(Buffer.from('kept'), 0, 4, 0);
    machine.kill();
    expect(() => file.size()).toThrow(SimPowerCut);
    const second = machine.boot();
    expect(readWholeFile(second.fs, PATH).toString()).toBe('kept');
    second.fs.lock('/data');
    machine.cutAtStep(machine.stepCount + 1, 'kill');
    expect(() => second.fs.list('/data')).toThrow(SimPowerCut);
    machine.boot().fs.lock('/data').release();
    machine.kill();
    const locked = machine.boot();
    locked.fs.lock('/data');
    machine.reboot().fs.lock('/data');
  });

  test('what was durable before a kill and a cut is there after both', async () => {
    for (let seed = 0; seed < 50; seed++) {
      const machine = new SimMachine(seed);
      const writer = new Writer(machine.boot());
      machine.cutAtStep(10 + (seed % 30), 'kill');
      await expectCut(machine.run(writer.run(30)));
      const file = machine.boot().fs.open(PATH, 'open');
      const syncing = file.sync();
      const foundAfterKill = Math.floor(file.size() / RECORD_BYTES);
      expect(foundAfterKill).toBeGreaterThanOrEqual(writer.ackedCount);
      await machine.run(syncing);
      expect(recover(machine.reboot())).toBeGreaterThanOrEqual(writer.ackedCount);
    }
  });
});

describe('determinism', () => {
  async function traceOf(seed: number): Promise<SimMachine> {
    const machine = new SimMachine(seed, { keepsTrace: true });
    machine.faults.shortWriteProbability = 0.2;
    machine.faults.slowSyncProbability = 0.1;
    const env = machine.boot();
    const serve = env.net.listen({ host: '127.0.0.1', port: 9092 }, (connection) => {
      connection.start({
        data: (chunk) => connection.write([Buffer.from(chunk)]),
        drained: () => {},
        closed: () => {},
      });
    });
    await machine.run(serve);
    const client = await machine.run(
      machine.outside().net.connect({ host: '127.0.0.1', port: 9092 }),
    );
    client.start({ data: () => {}, drained: () => {}, closed: () => {} });
    client.write([env.random.bytes(50_000)]);
    await machine.run(Promise.all([new Writer(env).run(20), env.timers.sleep(5)]));
    await machine.runFor(100);
    machine.reboot();
    return machine;
  }

  test('the same seed gives the same trace, another one does not', async () => {
    const machines = await Promise.all([traceOf(1), traceOf(1), traceOf(2)]);
    const [first, second, other] = machines.map((machine) => machine.trace);
    expect(first?.lines.length).toBeGreaterThan(60);
    expect(first?.lines).toEqual(second?.lines);
    expect(first?.hash()).toBe(second?.hash());
    expect(first?.hash()).not.toBe(other?.hash());
  });

  test('the hash of a trace depends on its entries and their borders', async () => {
    const hashOf = (...paths: readonly string[]): string => {
      const machine = new SimMachine(1);
      const env = machine.boot();
      for (const path of paths) env.fs.stat(path);
      return machine.trace.hash();
    };
    const hashes = [['/a', '/b'], ['/b', '/a'], ['/a'], ['/a', '/b', '/b']].map((paths) =>
      hashOf(...paths),
    );
    expect(new Set(hashes).size).toBe(4);
    expect(hashOf('/a', '/b')).toBe(hashes[0]);
    expect(hashes[0]).toMatch(/^[0-9a-f]{16}$/);
  });

  test('random numbers depend on the seed alone and are spread evenly', () => {
    const [one, same, other] = [new SimRandom(7), new SimRandom(7), new SimRandom(7 + 2 ** 40)];
    const draw = (random: SimRandom): number[] => Array.from({ length: 50 }, () => random.next());
    const drawn = draw(one);
    expect(draw(same)).toEqual(drawn);
    expect(draw(other)).not.toEqual(drawn);
    const counts = Array.from({ length: 8 }, () => 0);
    for (let round = 0; round < 8_000; round++) {
      const index = one.below(8);
      counts[index] = (counts[index] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
    expect([one.chance(0), one.chance(1)]).toEqual([false, true]);
    // A fork goes its own way, whatever is drawn from the generator later.
    const [left, right] = [new SimRandom(9), new SimRandom(9)];
    const [leftFork, rightFork] = [left.fork(), right.fork()];
    left.next();
    expect(draw(leftFork)).toEqual(draw(rightFork));
  });
});

describe('time', () => {
  test('events run in order of time, then of creation', () => {
    const random = new SimRandom(1);
    const events = new SimEvents();
    const order: { readonly atMs: number; readonly index: number }[] = [];
    const cancelled = new Set<number>();
    for (let index = 0; index < 500; index++) {
      const atMs = random.below(40);
      const event = events.after(atMs, undefined, () => {
        expect(events.nowMs).toBe(atMs);
        order.push({ atMs, index });
      });
      if (random.chance(0.2)) {
        events.cancel(event);
        cancelled.add(index);
      }
    }
    while (events.step());
    expect(order).toHaveLength(500 - cancelled.size);
    expect(order.some(({ index }) => cancelled.has(index))).toBe(false);
    const sorted = [...order].sort((a, b) => a.atMs - b.atMs || a.index - b.index);
    expect(order).toEqual(sorted);
  });

  test('hours pass at once, and time stands still between events', async () => {
    const machine = new SimMachine(1);
    const { clock, timers } = machine.boot();
    const wallMs = clock.nowMs();
    await machine.run(
      timers.sleep(30 * 60_000).then(() => {
        const now = clock.monotonicMs();
        for (let round = 0; round < 1_000; round++) expect(clock.monotonicMs()).toBe(now);
        expect(now).toBeGreaterThanOrEqual(30 * 60_000);
      }),
    );
    expect(clock.nowMs() - wallMs).toBeGreaterThanOrEqual(30 * 60_000);
  });

  test('the wall clock jumps, the monotonic clock does not', async () => {
    const machine = new SimMachine(1);
    const { clock } = machine.boot();
    const [wallMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()];
    machine.jumpClock(-86_400_000);
    expect(clock.nowMs()).toBe(wallMs - 86_400_000);
    expect(clock.monotonicMs()).toBe(monotonicMs);
    const rebooted = machine.reboot();
    expect(rebooted.clock.nowMs()).toBeGreaterThan(wallMs - 86_400_000);
    expect(rebooted.clock.monotonicMs()).toBe(0);
  });

  test('a run that cannot end says why', async () => {
    const machine = new SimMachine(1);
    const env = machine.boot();
    await expect(machine.run(new Promise(() => {}))).rejects.toThrow(SimStuck);
    const slow = env.timers.sleep(10_000);
    await expect(machine.run(slow, { withinMs: 9_000 })).rejects.toThrow(/9000 ms/);
    const spin = (): void => env.timers.immediate(spin);
    spin();
    await expect(machine.run(slow, { eventsMax: 1_000 })).rejects.toThrow(/1000 events/);
  });

  test('an error that a callback throws ends the run', async () => {
    const machine = new SimMachine(1);
    machine.boot().timers.after(5, () => {
      throw new Error('uncaught');
    });
    await expect(machine.runFor(100)).rejects.toThrow('uncaught');
    await machine.runFor(100);
  });

  test('a power cut inside a callback ends the run as one elsewhere', async () => {
    const machine = new SimMachine(1);
    const env = machine.boot();
    machine.cutAtStep(1);
    env.timers.after(5, () => void env.fs.list('/data'));
    await expect(machine.runFor(100)).rejects.toThrow(SimPowerCut);
    await machine.runFor(100);
  });
});

describe('network', () => {
  interface Seen {
    readonly sizes: number[];
    readonly kept: Buffer[];
    error: MillraceError | undefined;
    isClosed: boolean;
  }

  function watch(connection: Connection): Seen {
    const seen: Seen = { sizes: [], kept: [], error: undefined, isClosed: false };
    connection.start({
      data: (chunk) => {
        seen.sizes.push(chunk.length);
        seen.kept.push(chunk);
      },
      drained: () => {},
      closed: (error) => {
        seen.error = error as MillraceError | undefined;
        seen.isClosed = true;
      },
    });
    return seen;
  }

  async function connected(
    machine: SimMachine,
    env: Env,
  ): Promise<{ readonly client: Connection; readonly server: Connection }> {
    const accepted: Connection[] = [];
    const listening = env.net.listen({ host: '127.0.0.1', port: 9092 }, (made) =>
      accepted.push(made),
    );
    await machine.run(listening);
    const connecting = machine.outside().net.connect({ host: '127.0.0.1', port: 9092 });
    const client = await machine.run(connecting);
    await machine.runUntil(() => accepted.length > 0);
    const [server] = accepted;
    if (server === undefined) throw new Error('not accepted');
    return { client, server };
  }

  test('bytes come in chunks of any size, late, and their memory is taken back', async () => {
    const machine = new SimMachine(4);
    const { client, server } = await connected(machine, machine.boot());
    const seen = watch(server);
    watch(client);
    for (let round = 0; round < 60; round++) {
      client.write([Buffer.alloc(10_000, 'x')]);
      await machine.runFor(10);
    }
    await machine.runFor(1_000);
    expect(seen.sizes.reduce((sum, size) => sum + size, 0)).toBe(600_000);
    expect(seen.sizes).toContain(1);
    expect(seen.sizes).toContain(10_000);
    expect(new Set(seen.sizes).size).toBeGreaterThan(10);
    expect(seen.kept.every((chunk) => !chunk.includes('x'))).toBe(true);
  });

  test('the other side of a power cut sees a lost connection, and can connect again', async () => {
    const machine = new SimMachine(1);
    const { client, server } = await connected(machine, machine.boot());
    const seen = watch(client);
    const dead = watch(server);
    machine.powerCut();
    await machine.runFor(1_000);
    expect(seen.isClosed).toBe(true);
    expect(seen.error?.code).toBe('ML_CONNECTION_LOST');
    expect(dead.isClosed).toBe(false);
    const refused = machine.outside().net.connect({ host: '127.0.0.1', port: 9092 });
    await expect(machine.run(refused)).rejects.toMatchObject({ code: 'ML_CONNECT_FAILED' });
    await connected(machine, machine.reboot());
  });

  test('what a machine sent before a power cut may arrive after it', async () => {
    const arrived = new Set<number>();
    for (let seed = 0; seed < 40; seed++) {
      const machine = new SimMachine(seed);
      const { client, server } = await connected(machine, machine.boot());
      const seen = watch(client);
      watch(server);
      server.write([Buffer.alloc(100_000, 'a')]);
      await machine.runFor(machine.outside().random.next() * 3);
      machine.powerCut();
      await machine.runFor(1_000);
      arrived.add(seen.sizes.reduce((sum, size) => sum + size, 0));
    }
    expect(arrived).toContain(100_000);
    expect(arrived.size).toBeGreaterThan(1);
  });

  test('connections break on demand, and by chance', async () => {
    const machine = new SimMachine(1);
    const first = await connected(machine, machine.boot());
    const sides = [watch(first.client), watch(first.server)];
    machine.resetConnections();
    await machine.runFor(1);
    for (const side of sides) expect(side.error?.code).toBe('ML_CONNECTION_LOST');
    machine.faults.resetProbability = 1;
    const second = await connected(machine, machine.reboot());
    const seen = watch(second.client);
    let isDone = false;
    second.client.write([Buffer.from('lost')], () => {
      isDone = true;
    });
    await machine.runFor(10);
    expect([isDone, seen.isClosed]).toEqual([true, true]);
  });
});

test('files stay usable through virtual days of work', async () => {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const file: File = env.fs.open(PATH, 'create');
  await machine.run(
    (async () => {
      for (let day = 0; day < 30; day++) {
        file.write(Buffer.from([day]), 0, 1, day);
        await file.sync();
        await env.timers.sleep(60_000);
      }
    })(),
  );
  expect(file.size()).toBe(30);
});
