/** What every log does with topics, with offsets, and with what groups have committed. */
import { expect, test } from 'vitest';
import { codeOf, describeWays, newTopic, uniqueName } from './ways.ts';

describeWays('topics', (way) => {
  test('a topic that was created is there at once, and creating it again leaves it alone', async () => {
    const log = way.log();
    const name = await newTopic(log, 3, { 'cleanup.policy': 'compact' });
    await log.createTopics([{ name, partitions: 5, configs: {} }]);
    const found = (await log.topics([name, uniqueName('none')])).get(name);
    expect(found).toMatchObject({ name, partitions: 3 });
    expect((await log.topics()).has(name)).toBe(true);
    expect((await log.topics([])).size).toBe(0);
    expect((await log.topicConfig(name)).get('cleanup.policy')).toBe('compact');
  });

  test('without a number of partitions the broker chooses it', async () => {
    const log = way.log();
    const name = uniqueName('topic');
    await log.createTopics([{ name, partitions: undefined, configs: {} }]);
    expect((await log.topics([name])).get(name)?.partitions).toBeGreaterThan(0);
  });

  test('a topic that does not exist is missing, whatever is asked of it', async () => {
    const log = way.log();
    const name = uniqueName('none');
    const place = { topic: name, partition: 0 };
    expect((await log.topics([name])).size).toBe(0);
    expect(await codeOf(log.topicConfig(name))).toBe('ML_TOPIC_MISSING');
    expect(await codeOf(log.deleteTopics([name]))).toBe('ML_TOPIC_MISSING');
    expect(await codeOf(log.offsets([place], 'end'))).toBe('ML_TOPIC_MISSING');
    expect(await codeOf(log.deleteRecords([{ ...place, offset: 0 }]))).toBe('ML_TOPIC_MISSING');
    const topic = await newTopic(log);
    const beyond = { topic, partition: 1 };
    expect(await codeOf(log.offsets([beyond], 'beginning'))).toBe('ML_TOPIC_MISSING');
  });

  test('a topic that was deleted is gone', async () => {
    const log = way.log();
    const name = await newTopic(log);
    await log.deleteTopics([name]);
    expect((await log.topics([name])).size).toBe(0);
  });

  test('offsets are told of the beginning, the end, what is stable, and of a time', async () => {
    const log = way.log();
    const topic = await newTopic(log, 2);
    const places = [0, 1].map((partition) => ({ topic, partition }));
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    for (const time of [1_000, 2_000, 3_000]) producer.append(topic, 0, time, 'k', `at ${time}`);
    await producer.commit();
    producer.append(topic, 0, 4_000, 'k', 'open');
    await producer.flush();
    // Three records, their marker, one open record.
    expect(await log.offsets(places, 'beginning')).toEqual([0, 0]);
    expect(await log.offsets(places, 'end')).toEqual([5, 0]);
    expect(await log.offsets(places, 'stable')).toEqual([4, 0]);
    expect(await log.offsets(places, { timestamp: 1_500 })).toEqual([1, undefined]);
    expect(await log.offsets(places, { timestamp: 9e12 })).toEqual([undefined, undefined]);
    await log.deleteRecords([{ topic, partition: 0, offset: 2 }]);
    expect(await log.offsets(places, 'beginning')).toEqual([2, 0]);
    await producer.close();
  });

  test('offsets of a group are set, told and forgotten; so is the group', async () => {
    const log = way.log();
    const topic = await newTopic(log, 3);
    const group = uniqueName('group');
    const places = [0, 1, 2].map((partition) => ({ topic, partition }));
    expect(await log.committed(group, places)).toEqual([undefined, undefined, undefined]);
    await log.setCommitted(group, [
      { topic, partition: 0, offset: 7 },
      { topic, partition: 2, offset: 9 },
    ]);
    const seven = { offset: 7, metadata: '' };
    const nine = { offset: 9, metadata: '' };
    expect(await log.committed(group, places)).toEqual([seven, undefined, nine]);
    await log.setCommitted(group, [{ topic, partition: 0, offset: undefined }]);
    expect(await log.committed(group, places)).toEqual([undefined, undefined, nine]);
    await log.deleteGroup(group);
    expect(await log.committed(group, places)).toEqual([undefined, undefined, undefined]);
    await log.deleteGroup(group);
  });
});
