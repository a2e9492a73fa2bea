/** A broker on a simulated machine, and clients that reach it through a pipe: fast, and without a clock of its own. */
import { type AmqpClient, connectAmqp } from '../../src/client/amqp/client.ts';
import type { Env } from '../../src/core/env.ts';
import { SimMachine, type SimOptions } from '../../src/core/sim/sim-machine.ts';
import { type EmbeddedLog, openEmbedded } from '../../src/embedded-log.ts';

export interface SimAmqp {
  readonly machine: SimMachine;
  readonly env: Env;
  readonly log: EmbeddedLog;
  /** Closed at the end. */
  readonly connect: (login?: {
    readonly user?: string;
    readonly vhost?: string;
  }) => Promise<AmqpClient>;
  /** Waits in the time of the machine. */
  readonly until: (isSo: () => boolean | Promise<boolean>) => Promise<void>;
}

export interface SimAmqpOptions extends SimOptions {
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
}

/** Runs a program on it, and closes everything. */
export async function onSimAmqp(
  options: SimAmqpOptions,
  program: (under: SimAmqp) => Promise<void>,
): Promise<void> {
  const { settings, ...machineOptions } = options;
  const machine = new SimMachine(1, machineOptions);
  const env = machine.boot();
  await machine.run(
    (async () => {
      const log = await openEmbedded(env, {
        dataDir: '/data',
        ...(settings === undefined ? {} : { settings }),
      });
      const clients: AmqpClient[] = [];
      await program({
        machine,
        env,
        log,
        connect: async (login = {}) => {
          const client = await connectAmqp(env, { ...login, connect: () => log.connectAmqp() });
          clients.push(client);
          return client;
        },
        until: async (isSo) => {
          while (!(await isSo())) await env.timers.sleep(50);
        },
      });
      for (const client of clients) await client.close();
      await log.close();
    })(),
  );
}
