/**
 * What every `Net` promises, asked of the real network and of the simulated one; and what every connection does, also one that leads
 * through memory or to another thread.
 */
import { describe, expect, test } from 'vitest';
import type { Connection, Env } from './env.ts';
import type { ErrorCode } from './errors.ts';
import { MillraceError } from './errors.ts';
import { connectionPair } from './pipe.ts';
import { acceptFromPort, connectOverPort } from './port-connections.ts';
import { realEnv } from './real-env.ts';
import { SimMachine } from './sim/sim-machine.ts';

interface Machine {
  readonly name: string;
  readonly run: <T>(body: (env: Env) => Promise<T>) => Promise<T>;
  readonly connect: (env: Env) => Promise<Pair>;
  /** When the memory of a write may be used again, and what is left to drain. */
  readonly writes: 'system' | 'hands over' | 'copies';
}

interface Pair {
  readonly client: Connection;
  readonly server: Connection;
}

const real: Machine = {
  name: 'real',
  run: (body) => body(realEnv()),
  connect: (env) => connect(env),
  writes: 'system',
};

const simulated: Machine = {
  name: 'simulated',
  run: (body) => {
    const machine = new SimMachine(3);
    return machine.run(body(machine.boot()));
  },
  connect: (env) => connect(env),
  writes: 'system',
};

const pipe: Machine = {
  name: 'pipe',
  run: (body) => body(realEnv()),
  connect: async (env) => {
    const [client, server] = connectionPair(env.timers, 'pipe');
    return { client, server };
  },
  writes: 'hands over',
};

const port: Machine = {
  name: 'message port',
  run: (body) => body(realEnv()),
  connect: async (env) => {
    let accept: (connection: Connection) => void = () => {};
    const accepted = new Promise<Connection>((resolve) => {
      accept = resolve;
    });
    const accepting = acceptFromPort(env.timers, 'thread', (made) => accept(made));
    const client = connectOverPort(env.timers, accepting.port, 'port');
    const server = await accepted;
    accepting.close();
    return { client, server };
  },
  writes: 'copies',
};

/** One side of a connection, and what its handlers have seen. */
class Side {
  readonly connection: Connection;
  receivedBytes = 0;
  drainedCount = 0;
  endedCount = 0;
  closedCount = 0;
  error: Error | undefined;
  private readonly chunks: Buffer[] = [];
  private waiting: { readonly isMet: () => boolean; readonly resolve: () => void }[] = [];

  constructor(connection: Connection, options: { readonly staysHalfOpen?: boolean } = {}) {
    this.connection = connection;
    connection.start({
      data: (chunk) => {
        this.chunks.push(Buffer.from(chunk));
        this.receivedBytes += chunk.length;
        this.wake();
      },
      drained: () => {
        this.drainedCount++;
        this.wake();
      },
      closed: (error) => {
        this.closedCount++;
        this.error = error;
        this.wake();
      },
      ...(options.staysHalfOpen === true
        ? {
            ended: () => {
              this.endedCount++;
              this.wake();
            },
          }
        : {}),
    });
  }

  received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** Resolves when the system has taken the text. */
  send(text: string): Promise<void> {
    return new Promise((resolve) => {
      this.connection.write([Buffer.from(text)], resolve);
    });
  }

  until(isMet: () => boolean): Promise<void> {
    if (isMet()) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiting.push({ isMet, resolve });
    });
  }

  closed(): Promise<void> {
    return this.until(() => this.closedCount > 0);
  }

  private wake(): void {
    const met = this.waiting.filter(({ isMet }) => isMet());
    this.waiting = this.waiting.filter((waiter) => !met.includes(waiter));
    for (const { resolve } of met) resolve();
  }
}

/** Two sides that are connected; the listener is closed already. */
async function connect(env: Env): Promise<Pair> {
  let accept: (connection: Connection) => void = () => {};
  const accepted = new Promise<Connection>((resolve) => {
    accept = resolve;
  });
  const listener = await env.net.listen({ host: '127.0.0.1', port: 0 }, (made) => accept(made));
  const client = await env.net.connect({ host: '127.0.0.1', port: listener.port });
  const server = await accepted;
  await listener.close();
  return { client, server };
}

async function codeOf(work: () => Promise<unknown>): Promise<ErrorCode | undefined> {
  try {
    await work();
  } catch (error) {
    if (error instanceof MillraceError) return error.code;
    throw error;
  }
  return undefined;
}

describe.each([real, simulated, pipe, port])('connection: $name', ({ run, connect, writes }) => {
  test('bytes go both ways, whole and in order', () =>
    run(async (env) => {
      const { client, server } = await connect(env);
      const [near, far] = [new Side(client), new Side(server)];
      const total = 1_500_000;
      for (const side of [near, far]) {
        const bytes = Buffer.alloc(total);
        for (let index = 0; index < total; index++) bytes[index] = (index * 7 + index / 251) & 0xff;
        side.connection.write([bytes.subarray(0, 1), bytes.subarray(1, 900_000)]);
        side.connection.write([bytes.subarray(900_000, 900_000), bytes.subarray(900_000)]);
      }
      await Promise.all([near, far].map((side) => side.until(() => side.receivedBytes >= total)));
      for (const side of [near, far]) {
        const received = side.received();
        expect(received).toHaveLength(total);
        const wrong = received.findIndex(
          (byte, index) => byte !== ((index * 7 + index / 251) & 0xff),
        );
        expect(wrong).toBe(-1);
      }
      near.connection.end();
      await Promise.all([near.closed(), far.closed()]);
    }));

  test('end sends what is queued, and both sides close once and in order', () =>
    run(async (env) => {
      const { client, server } = await connect(env);
      const [near, far] = [new Side(client), new Side(server)];
      const size = 2_000_000;
      near.connection.write([Buffer.alloc(size, 'x')]);
      near.connection.end();
      near.connection.end();
      await Promise.all([near.closed(), far.closed()]);
      expect(far.received()).toHaveLength(size);
      expect([near.closedCount, far.closedCount]).toEqual([1, 1]);
      expect([near.error, far.error]).toEqual([undefined, undefined]);
    }));

  test('a side that has ended still gets its answers', () =>
    run(async (env) => {
      const { client, server } = await connect(env);
      const far = new Side(server, { staysHalfOpen: true });
      const near = new Side(client);
      await near.send('question');
      near.connection.end();
      await far.until(() => far.endedCount === 1);
      expect(far.received().toString()).toBe('question');
      await env.timers.sleep(5);
      expect([near.closedCount, far.closedCount]).toEqual([0, 0]);
      await far.send('answer');
      far.connection.end();
      await Promise.all([near.closed(), far.closed()]);
      expect(near.received().toString()).toBe('answer');
      expect([near.error, far.error]).toEqual([undefined, undefined]);
    }));

  test('destroy closes at once, and lets go of all memory', () =>
    run(async (env) => {
      const { client, server } = await connect(env);
      const [near, far] = [new Side(client), new Side(server)];
      far.connection.pause();
      let doneCount = 0;
      for (let count = 0; count < 10; count++)
        near.connection.write([Buffer.alloc(1_000_000)], () => doneCount++);
      expect(doneCount).toBe(0);
      near.connection.destroy();
      near.connection.destroy();
      expect(near.connection.bufferedBytes).toBe(0);
      await near.closed();
      await near.until(() => near.closedCount === 1);
      await env.timers.sleep(5);
      expect(doneCount).toBe(10);
      expect(near.error).toBeUndefined();
      far.connection.resume();
      await far.closed();
      expect([near.closedCount, far.closedCount]).toEqual([1, 1]);
      expect(far.receivedBytes).toBeLessThan(10_000_000);
    }));

  test('writing after the end sends nothing, but calls back', () =>
    run(async (env) => {
      const { client, server } = await connect(env);
      const [near, far] = [new Side(client), new Side(server)];
      near.connection.end();
      await near.send('too late');
      await Promise.all([near.closed(), far.closed()]);
      await near.send('far too late');
      let isDone = false;
      near.connection.write([], () => {
        isDone = true;
      });
      expect(isDone).toBe(false);
      await env.timers.sleep(1);
      expect(isDone).toBe(true);
      expect(far.received()).toHaveLength(0);
      expect([near.error, far.error]).toEqual([undefined, undefined]);
    }));

  test('a side that does not read holds the other back, and lets it go on later', () =>
    run(async (env) => {
      const { client, server } = await connect(env);
      const [near, far] = [new Side(client), new Side(server)];
      far.connection.pause();
      const size = 30_000_000;
      let isDone = false;
      near.connection.write([Buffer.alloc(size, 'y')], () => {
        isDone = true;
      });
      expect(near.connection.bufferedBytes).toBeGreaterThan(0);
      await env.timers.sleep(20);
      expect(isDone).toBe(writes === 'copies');
      expect(near.connection.bufferedBytes).toBeGreaterThan(0);
      expect(near.drainedCount).toBe(0);
      far.connection.resume();
      await near.until(() => near.drainedCount > 0);
      expect(near.connection.bufferedBytes).toBe(0);
      expect(isDone).toBe(true);
      // A write that the system takes whole leaves nothing to drain; without a system every write leaves something.
      await near.send('small');
      await far.until(() => far.receivedBytes === size + 5);
      await near.until(() => near.drainedCount === (writes === 'system' ? 1 : 2));
      near.connection.end();
      await Promise.all([near.closed(), far.closed()]);
    }));

  test('memory may be reused once the write has called back', () =>
    run(async (env) => {
      const { client, server } = await connect(env);
      const [near, far] = [new Side(client), new Side(server)];
      const bytes = Buffer.alloc(50_000);
      for (let round = 1; round <= 20; round++) {
        bytes.fill(round);
        await new Promise<void>((resolve) => {
          near.connection.write([bytes.subarray(0, 10), bytes.subarray(10)], resolve);
        });
      }
      bytes.fill(0xff);
      near.connection.end();
      await Promise.all([near.closed(), far.closed()]);
      const received = far.received();
      const rounds = Array.from({ length: 20 }, (_, index) => Buffer.alloc(50_000, index + 1));
      expect(received.equals(Buffer.concat(rounds))).toBe(true);
    }));

  test('what arrives before a connection is started is not lost', () =>
    run(async (env) => {
      const { client, server } = await connect(env);
      const near = new Side(client);
      near.connection.write([Buffer.from('early')]);
      near.connection.end();
      await env.timers.sleep(10);
      const far = new Side(server);
      await far.closed();
      expect(far.received().toString()).toBe('early');
      await near.closed();
    }));
});

describe.each([real, simulated])('network of a $name machine', ({ run }) => {
  test('each side knows the other', () =>
    run(async (env) => {
      const { client, server } = await connect(env);
      const [near, far] = [new Side(client), new Side(server)];
      expect(near.connection.remoteAddress).toContain('127.0.0.1');
      expect(far.connection.remoteAddress).toContain('127.0.0.1');
      expect(far.connection.remotePort).toBeGreaterThan(0);
      expect(far.connection.remotePort).not.toBe(near.connection.remotePort);
      near.connection.destroy();
      await Promise.all([near.closed(), far.closed()]);
    }));

  test('listening tells the port, and refuses one that is taken or elsewhere', () =>
    run(async (env) => {
      const listener = await env.net.listen({ host: '127.0.0.1', port: 0 }, () => {});
      const { host, port } = listener;
      expect(host).toBe('127.0.0.1');
      expect(port).toBeGreaterThan(0);
      expect(await codeOf(() => env.net.listen({ host, port }, () => {}))).toBe(
        'ML_ADDRESS_IN_USE',
      );
      // 203.0.113.0/24 is for documentation: no machine has it.
      const elsewhere = { host: '203.0.113.7', port: 0 };
      expect(await codeOf(() => env.net.listen(elsewhere, () => {}))).toBe(
        'ML_ADDRESS_UNAVAILABLE',
      );
      await listener.close();
      await (await env.net.listen({ host, port }, () => {})).close();
    }));

  test('closing a listener refuses new connections and keeps the open ones', () =>
    run(async (env) => {
      const accepted: Side[] = [];
      const listener = await env.net.listen({ host: '127.0.0.1', port: 0 }, (connection) =>
        accepted.push(new Side(connection)),
      );
      const { host, port } = listener;
      const near = new Side(await env.net.connect({ host, port }));
      await near.send('a');
      await env.timers.sleep(10);
      await listener.close();
      expect(await codeOf(() => env.net.connect({ host, port }))).toBe('ML_CONNECT_FAILED');
      const [far] = accepted;
      expect(far).toBeDefined();
      await near.send('b');
      await far?.until(() => far.receivedBytes === 2);
      expect(far?.received().toString()).toBe('ab');
      near.connection.end();
      await near.closed();
    }));

  test('datagrams come whole, or not at all, and to the port they were sent to', () =>
    run(async (env) => {
      const received: string[] = [];
      let onReceived = (): void => {};
      const bind = { host: '127.0.0.1', port: 0, receiveBytes: 64 * 1024 };
      const far = await env.net.datagrams(bind, (datagram) => {
        received.push(datagram.toString());
        onReceived();
      });
      const near = await env.net.datagrams(bind, () => {});
      expect(far.host).toBe('127.0.0.1');
      expect(far.port).not.toBe(near.port);
      expect(far.receiveBytes).toBeGreaterThan(0);
      expect(far.lost() ?? 0).toBe(0);
      const sent = ['', 'a', 'b'.repeat(8_000)];
      for (const each of sent) near.send(Buffer.from(each), far);
      while (received.length < sent.length)
        await new Promise<void>((resolve) => (onReceived = resolve));
      expect(received.toSorted()).toEqual(sent);
      await near.close();
      await far.close();
      await far.close();
    }));

  test('a port of datagrams is of one socket, and of an address that the machine has', () =>
    run(async (env) => {
      const { datagrams } = bound(env);
      const first = await datagrams({ host: '127.0.0.1', port: 0 });
      const { host, port } = first;
      expect(await codeOf(() => datagrams({ host, port }))).toBe('ML_ADDRESS_IN_USE');
      const elsewhere = { host: '203.0.113.7', port: 0 };
      expect(await codeOf(() => datagrams(elsewhere))).toBe('ML_ADDRESS_UNAVAILABLE');
      await first.close();
      await (await datagrams({ host, port })).close();
    }));
});

function bound(env: Env) {
  return {
    datagrams: (options: { readonly host: string; readonly port: number }) =>
      env.net.datagrams(options, () => {}),
  };
}
