/** A broker forgets the offsets of a group that has had no members for long: what is in the state would be counted once more. */
import { expect, test } from 'vitest';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { openEmbedded } from '../../../src/embedded-log.ts';
import { FLOW } from './counting-task.ts';
import { counted, countingWorker, createTopics, output, produce } from './counting-world.ts';

test('a flow whose offsets are gone, and whose state is there, does not begin anew by itself', async () => {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const all = async (): Promise<void> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    await createTopics(log);
    await produce(log, 0, 100);
    const first = countingWorker(log, { label: 'a-0' });
    const firstDone = first.run();
    await counted(log, 100);
    first.stop();
    await firstDone;
    // Until the session of the member is over.
    await env.timers.sleep(20_000);
    await log.deleteGroup(FLOW);
    const second = countingWorker(log, { label: 'a-0' });
    await expect(second.run()).rejects.toMatchObject({
      code: 'ML_FLOW_CHANGED',
      message: expect.stringMatching(/offsets .* are gone/),
    });
    expect((await output(log)).flat()).toHaveLength(100);
    await log.close();
  };
  await machine.run(all());
});
