import { expect, test } from 'vitest';
import type { Connection } from '../core/env.ts';
import { SERVER_CLOSE_MS } from '../core/limits.ts';
import { silentLogger } from '../core/log.ts';
import { SimMachine } from '../core/sim/sim-machine.ts';
import { FaultLog } from './fault-log.ts';
import { OpenConnections } from './open-connections.ts';

class Client {
  isDestroyed = false;
  private readonly connections: OpenConnections<Client>;

  constructor(connections: OpenConnections<Client>) {
    this.connections = connections;
  }

  destroy(): void {
    this.isDestroyed = true;
    this.connections.delete(this);
  }
}

function opened() {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  const limits = { maxConnections: 3, maxConnectionsPerIp: 2 };
  const connections = new OpenConnections<Client>(limits, new FaultLog(env, logger));
  /** undefined: refused, and destroyed. */
  const come = (remoteAddress: string): Client | undefined => {
    let isDestroyed = false;
    const connection = { remoteAddress, destroy: () => (isDestroyed = true) };
    const isAdmitted = connections.admits(connection as unknown as Connection);
    expect(isDestroyed).toBe(!isAdmitted);
    if (!isAdmitted) return undefined;
    const client = new Client(connections);
    connections.add(client, remoteAddress);
    return client;
  };
  return { machine, env, warnings, connections, come };
}

test('so many connections may be open, and so many from one address', () => {
  const { warnings, connections, come } = opened();
  const first = come('a');
  come('a');
  expect(come('a')).toBeUndefined();
  come('b');
  expect(come('c')).toBeUndefined();
  expect(connections.size).toBe(3);
  expect(warnings).toEqual([
    'a connection was refused: max.connections.per.ip is reached',
    'a connection was refused: max.connections is reached',
  ]);
  first?.destroy();
  first?.destroy(); // Once more frees nothing that others have.
  expect(come('a')).toBeDefined();
  expect(come('a')).toBeUndefined();
});

test('a port that closes takes nobody, and waits for those who are there, but not for long', async () => {
  const { machine, env, warnings, connections, come } = opened();
  const [prompt, late] = [come('a'), come('b')];
  connections.stop();
  expect(come('c')).toBeUndefined();
  expect(warnings).toEqual([]);
  let hasEnded = false;
  const ended = connections.ended(env).then(() => (hasEnded = true));
  prompt?.destroy();
  await machine.runFor(SERVER_CLOSE_MS - 1);
  expect([hasEnded, late?.isDestroyed]).toEqual([false, false]);
  await machine.run(ended);
  expect(late?.isDestroyed).toBe(true);
  await connections.ended(env);
});
