/** What becomes of a start when somebody else has the port of AMQP: on a simulated machine, whose ports nobody else has. */
import { expect, test } from 'vitest';
import type { Env } from './core/env.ts';
import { CollectingLogger } from './core/log.ts';
import { SimMachine } from './core/sim/sim-machine.ts';
import { openServedBroker } from './served-broker.ts';

const AMQP = { host: '127.0.0.1', port: 5_672 };

async function onTakenPort(program: (env: Env) => Promise<void>): Promise<void> {
  const machine = new SimMachine(1);
  const env = machine.boot();
  await machine.run(
    (async () => {
      const other = await env.net.listen(AMQP, (connection) => connection.destroy());
      await program(env);
      await other.close();
    })(),
  );
}

test('where nobody has asked for the port, the broker goes on without it and says so', async () => {
  const logger = new CollectingLogger();
  await onTakenPort(async (env) => {
    const broker = await openServedBroker({
      env,
      dataDir: '/data',
      logger,
      amqp: { ...AMQP, isDefault: true },
    });
    expect(broker.amqpAddress).toBeUndefined();
    await broker.close();
  });
  const warnings = logger.lines.filter(({ level }) => level === 'warn');
  expect(warnings).toMatchObject([
    { message: expect.stringContaining('127.0.0.1:5672') as unknown },
  ]);
});

test('a port that was asked for and is taken is an error, and leaves nothing open', async () => {
  await onTakenPort(async (env) => {
    const options = { env, dataDir: '/data' };
    await expect(openServedBroker({ ...options, amqp: AMQP })).rejects.toMatchObject({
      code: 'ML_ADDRESS_IN_USE',
    });
    const broker = await openServedBroker(options);
    await broker.close();
  });
});

test('AMQP beyond this machine has to be allowed, since it is not encrypted', async () => {
  const amqp = { host: '0.0.0.0', port: 5_672 };
  await expect(openServedBroker({ dataDir: '/data', amqp })).rejects.toMatchObject({
    code: 'ML_INSECURE_BIND',
  });
});
