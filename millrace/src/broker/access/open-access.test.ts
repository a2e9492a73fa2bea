import { expect, test } from 'vitest';
import { memoryMetadata } from '../../../test/exchanges/fake-queue.ts';
import { realEnv } from '../../core/real-env.ts';
import { openAccess } from './open-access.ts';

function open(values = new Map<string, string>()) {
  return openAccess({ env: realEnv(), metadata: memoryMetadata(values) });
}

test('guest is there from the first start, and may do everything in /', async () => {
  const access = await open();
  const guest = await access.authenticate('guest', 'guest');
  expect(guest?.tags).toEqual(['administrator']);
  expect(await access.authenticate('guest', 'guess')).toBeUndefined();
  if (guest === undefined) throw new Error('guest');
  expect(access.grant(guest, '/')?.may('write', 'anything')).toBe(true);
  expect(access.grant(guest, 'other')).toBeUndefined();
});

test('a guest who was deleted, or given another password, stays so', async () => {
  const values = new Map<string, string>();
  const first = await open(values);
  expect(await first.setUser('guest', { password: 'secret' })).toBeUndefined();
  const second = await open(values);
  expect(await second.authenticate('guest', 'guest')).toBeUndefined();
  expect((await second.authenticate('guest', 'secret'))?.tags).toEqual(['administrator']);
  expect(await second.deleteUser('guest')).toBeUndefined();
  const third = await open(values);
  expect(third.users()).toEqual([]);
  expect(third.permissions()).toEqual([]);
});

test('users, their passwords and permissions come back after a restart; no password is stored', async () => {
  const values = new Map<string, string>();
  const first = await open(values);
  await first.setUser('ann/1', { password: 'sésame', tags: ['monitoring'] });
  await first.setPermissions('ann/1', '/', { configure: '', write: '^out', read: '.*' });
  await first.setUser('ann/1', { tags: [] });
  expect([...values.values()].join()).not.toContain('sésame');
  const second = await open(values);
  const ann = await second.authenticate('ann/1', 'sésame');
  expect(ann).toMatchObject({ name: 'ann/1', tags: [] });
  expect(await second.authenticate('ann/1', 'sesame')).toBeUndefined();
  expect(await second.authenticate('ann', 'sésame')).toBeUndefined();
  expect(second.permissions()).toContainEqual({
    user: 'ann/1',
    vhost: '/',
    configure: '',
    write: '^out',
    read: '.*',
  });
});

test('what a user may do is found anywhere in a name; the empty pattern is the empty name', async () => {
  const access = await open();
  await access.setUser('bob', { password: 'b' });
  await access.setPermissions('bob', '/', { configure: '', write: 'out', read: '^(a|b)$' });
  const bob = await access.authenticate('bob', 'b');
  const grant = bob === undefined ? undefined : access.grant(bob, '/');
  if (grant === undefined) throw new Error('bob');
  expect(grant.may('configure', 'x')).toBe(false);
  expect(grant.may('configure', '')).toBe(true);
  expect(grant.may('write', 'shout!')).toBe(true);
  expect(grant.may('write', 'in')).toBe(false);
  expect(['a', 'b', 'ab'].map((name) => grant.may('read', name))).toEqual([true, true, false]);
  await access.setPermissions('bob', '/', { configure: '.*', write: '', read: '' });
  expect(grant.may('configure', 'x')).toBe(true);
  expect(grant.may('write', 'shout!')).toBe(false);
  await access.setPermissions('bob', '/', undefined);
  expect(grant.may('configure', 'x')).toBe(false);
});

test('nobody may do anything in a virtual host that is gone, nor in a later one of its name', async () => {
  const values = new Map<string, string>();
  const access = await open(values);
  await access.setPermissions('guest', 'v', { configure: '.*', write: '.*', read: '.*' });
  const guest = await access.authenticate('guest', 'guest');
  const grant = guest === undefined ? undefined : access.grant(guest, 'v');
  expect(grant?.may('read', 'q')).toBe(true);
  await access.vhostDeleted('v');
  expect(grant?.may('read', 'q')).toBe(false);
  expect((await open(values)).permissions().map(({ vhost }) => vhost)).toEqual(['/']);
});

test('a password that was changed is not remembered as right', async () => {
  const access = await open();
  await access.setUser('eve', { password: 'old' });
  expect(await access.authenticate('eve', 'old')).toBeDefined();
  expect(await access.authenticate('eve', 'old')).toBeDefined();
  await access.setUser('eve', { password: 'new' });
  expect(await access.authenticate('eve', 'old')).toBeUndefined();
  expect(await access.authenticate('eve', 'new')).toBeDefined();
});

test('patterns that are none are refused', async () => {
  const access = await open();
  await access.setUser('mallory', { password: 'm' });
  const set = (pattern: string) =>
    access.setPermissions('mallory', '/', { configure: pattern, write: '', read: '' });
  for (const pattern of ['[', '(a)\\1', 'a'.repeat(1_025), '(?!amq).*'])
    expect((await set(pattern))?.error, pattern).toBe('PRECONDITION_FAILED');
  for (const pattern of ['', '.*', '^(orders|emails)\\..*$', '(a+)+$'])
    expect(await set(pattern), pattern).toBeUndefined();
  expect((await access.setPermissions('nobody', '/', undefined))?.error).toBe('NOT_FOUND');
});

test('whoever asks for the same password at the same time is checked once, and rightly', async () => {
  const access = await open();
  await access.setUser('many', { password: 'm' });
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      access.authenticate('many', index % 2 === 0 ? 'm' : 'n'),
    ),
  );
  expect(answers.filter((user) => user !== undefined)).toHaveLength(25);
});

test('passwords are checked one at a time, and not for whom nobody waits', async () => {
  const access = await open();
  await access.setUser('ann', { password: 'a' });
  const steps: string[] = [];
  const guess = async (password: string): Promise<void> => {
    await access.authenticate('ann', password, () => steps.push(`begin ${password}`) > 0);
    steps.push(`end ${password}`);
  };
  const gone = access.authenticate('ann', 'a', () => false);
  await Promise.all(['1', '2', '3'].map(guess));
  expect(steps.indexOf('begin 3')).toBeGreaterThan(steps.indexOf('end 1'));
  expect(await gone).toBeUndefined();
  expect(await access.authenticate('ann', 'a')).toBeDefined();
});
