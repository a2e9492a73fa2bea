/** `millrace user list|set|delete|permit`, and `millrace vhost list|create|delete`. */
import { MillraceError } from '../core/errors.ts';
import { type AmqpOptions, withAmqp } from './amqp.ts';
import { formatTable, say, writeData, writeJson } from './io.ts';
import { linesOf } from './lines.ts';
import { formatCount } from './numbers.ts';

export interface SetUserOptions extends AmqpOptions {
  readonly newPassword?: string;
  readonly tag?: readonly string[];
  /** false: --no-tags. */
  readonly tags?: boolean;
}

export interface PermitOptions extends AmqpOptions {
  readonly on: string;
  readonly configure?: string;
  readonly write?: string;
  readonly read?: string;
  readonly nothing?: boolean;
}

/** A regular expression that everything fits. */
const ALL = '.*';

export async function listUsers(options: AmqpOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    const [users, permissions] = await Promise.all([
      client.request({ op: 'users' }),
      client.request({ op: 'permissions' }),
    ]);
    const all = users
      .map(({ name, tags }) => ({
        name,
        tags,
        permissions: permissions
          .filter(({ user }) => user === name)
          .map(({ vhost, configure, write, read }) => ({ vhost, configure, write, read })),
      }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    if (options.json) {
      await writeJson(all);
      return;
    }
    const rows = all.flatMap(({ name, tags, permissions: granted }) => {
      const shown = tags.join(' ') || '-';
      if (granted.length === 0) return [[name, shown, '-', '-', '-', '-']];
      return granted.map(({ vhost, configure, write, read }) => [
        name,
        shown,
        vhost,
        configure || '-',
        write || '-',
        read || '-',
      ]);
    });
    await writeData(formatTable(['user', 'tags', 'vhost', 'configure', 'write', 'read'], rows));
  });
}

export async function setUser(name: string, options: SetUserOptions): Promise<void> {
  const { newPassword, tag, tags } = options;
  const password = newPassword === '-' ? await firstLine() : newPassword;
  await withAmqp(options, async (client) => {
    const isThere = (await client.request({ op: 'users' })).some((user) => user.name === name);
    if (!isThere && password === undefined)
      throw new MillraceError('ML_USAGE', `${name} is new, and needs a password`, {
        hint: 'Say --new-password -, and give it as the first line of stdin',
      });
    const said = tags === false ? [] : tag;
    await client.request({
      op: 'set-user',
      name,
      ...(password === undefined ? {} : { password }),
      ...(said === undefined ? {} : { tags: said }),
    });
    say(`${isThere ? 'changed' : 'made'} user ${name}`);
    if (!isThere) say(`  next: millrace user permit ${name}`);
  });
}

/** Not on the command line, where others see it. */
async function firstLine(): Promise<string> {
  for await (const lines of linesOf(process.stdin)) {
    const line = lines[0]?.toString().replace(/\r$/, '') ?? '';
    if (line !== '') return line;
    break;
  }
  throw new MillraceError(
    'ML_USAGE',
    'the first line of stdin is to be the password, and is empty',
  );
}

export async function deleteUser(name: string, options: AmqpOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    await client.request({ op: 'delete-user', name });
    say(`deleted user ${name}`);
  });
}

export async function permitUser(user: string, options: PermitOptions): Promise<void> {
  const { on: vhost, nothing } = options;
  const { configure = ALL, write = ALL, read = ALL } = options;
  const isSaid = [options.configure, options.write, options.read].some(
    (each) => each !== undefined,
  );
  if (nothing === true && isSaid)
    throw new MillraceError('ML_USAGE', '--nothing excludes --configure, --write and --read');
  await withAmqp(options, async (client) => {
    const permissions = nothing === true ? null : { configure, write, read };
    await client.request({ op: 'set-permissions', user, vhost, permissions });
    if (nothing === true) say(`user ${user} may not use virtual host ${vhost} any more`);
    else say(`user ${user} may use virtual host ${vhost}`);
  });
}

export async function listVhosts(options: AmqpOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    const vhosts = (await client.request({ op: 'vhosts' })).toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    );
    if (options.json) await writeJson(vhosts);
    else
      await writeData(
        formatTable(
          ['vhost', 'queues'],
          vhosts.map(({ name, queues }) => [name, queues]),
        ),
      );
  });
}

export async function createVhost(name: string, options: AmqpOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    await client.request({ op: 'create-vhost', name });
    say(`virtual host ${name} is there`);
    say(`  next: millrace user permit USER --on ${name}`);
  });
}

export async function deleteVhost(name: string, options: AmqpOptions): Promise<void> {
  await withAmqp(options, async (client) => {
    const vhosts = await client.request({ op: 'vhosts' });
    const queues = vhosts.find((vhost) => vhost.name === name)?.queues ?? 0;
    await client.request({ op: 'delete-vhost', name });
    say(`deleted virtual host ${name} with ${formatCount(queues, 'queue')}`);
  });
}
