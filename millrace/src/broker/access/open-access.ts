/**
 * Users and permissions as the metadata log has them. See `Access`.
 *
 *   user/<name>                  {"version":1,"name","tags":[…],"salt","hash"}        salt and hash: base64, of scrypt
 *                                {"version":1,"name","tags":[…],"initial":true}       guest, until it is given another password
 *   permission/<user>/<vhost>    {"version":1,"user","vhost","configure","write","read"}
 *
 * NOTE: persistent format (docs/formats/queue-definitions.md).
 */
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { GRANT_ANSWERS_MAX } from '../../core/queue-limits.ts';
import type { MetadataLog } from '../metadata-log.ts';
import type { QueueRefusal } from '../queues/queue.ts';
import type { Access, Grant, Permissions, User } from './access.ts';
import { type PasswordHash, Passwords } from './passwords.ts';
import { type PermissionPattern, permissionPattern } from './permission-pattern.ts';

const VERSION = 1;
const USER_PREFIX = 'user/';
const PERMISSION_PREFIX = 'permission/';
/** Written once, so that a guest who was deleted does not come back. */
const CREATED_KEY = 'users-created';
const GUEST = 'guest';
const ALL: Permissions = { configure: '.*', write: '.*', read: '.*' };
const OPERATIONS = ['configure', 'write', 'read'] as const satisfies (keyof Permissions)[];

interface StoredUser extends User {
  /** `guest`: the password that everybody knows. undefined: there is none, and nobody can log in. */
  readonly password: PasswordHash | 'guest' | undefined;
}

type StoredPermissions = Permissions & { readonly user: string; readonly vhost: string };

/** Reads what the log has; makes `guest` at the first start. */
export async function openAccess(options: {
  readonly env: Env;
  readonly metadata: MetadataLog;
}): Promise<LiveAccess> {
  const access = new LiveAccess(options);
  await access.createGuest();
  return access;
}

export class LiveAccess implements Access {
  private readonly metadata: MetadataLog;
  private readonly passwords: Passwords;
  private readonly byName = new Map<string, StoredUser>();
  /** By user, by virtual host. */
  private readonly granted = new Map<string, Map<string, StoredPermissions>>();
  private readonly grants = new WeakMap<StoredPermissions, Answers>();

  constructor(options: { readonly env: Env; readonly metadata: MetadataLog }) {
    this.metadata = options.metadata;
    this.passwords = new Passwords(options.env);
    for (const [key, text] of this.metadata.entries(USER_PREFIX)) this.addUser(readUser(key, text));
    for (const [key, text] of this.metadata.entries(PERMISSION_PREFIX))
      this.addPermissions(readPermissions(key, text));
  }

  async authenticate(
    name: string,
    password: string,
    isWanted?: () => boolean,
  ): Promise<User | undefined> {
    const user = this.byName.get(name);
    const isRight =
      user?.password === GUEST
        ? password === GUEST
        : await this.passwords.isRight(password, user?.password, isWanted);
    // Deleted, or given another password, meanwhile.
    if (!isRight || this.byName.get(name)?.password !== user?.password) return undefined;
    return this.byName.get(name);
  }

  grant(user: User, vhost: string): Grant | undefined {
    if (this.granted.get(user.name)?.get(vhost) === undefined) return undefined;
    return {
      user,
      vhost,
      may: (operation, name) => {
        const permissions = this.granted.get(user.name)?.get(vhost);
        return permissions !== undefined && this.answersOf(permissions).may(operation, name);
      },
    };
  }

  users(): readonly User[] {
    return [...this.byName.values()].map(({ name, tags }) => ({ name, tags }));
  }

  async setUser(
    name: string,
    change: { readonly password?: string; readonly tags?: readonly string[] },
  ): Promise<QueueRefusal | undefined> {
    if (name === '') return refused('PRECONDITION_FAILED', 'a user has a name');
    if (change.password === '')
      return refused('PRECONDITION_FAILED', 'a password has at least one character');
    const hashed =
      change.password === undefined ? undefined : await this.passwords.hash(change.password);
    const present = this.byName.get(name);
    const tags = change.tags ?? present?.tags ?? [];
    const user = { name, tags, password: hashed ?? present?.password };
    await this.metadata.put(`${USER_PREFIX}${keyPart(name)}`, formatUser(user));
    this.addUser(user);
    return undefined;
  }

  async deleteUser(name: string): Promise<QueueRefusal | undefined> {
    if (!this.byName.delete(name)) return refused('NOT_FOUND', `there is no user '${name}'`);
    const permissions = [...(this.granted.get(name)?.values() ?? [])];
    this.granted.delete(name);
    await Promise.all([
      this.metadata.delete(`${USER_PREFIX}${keyPart(name)}`),
      ...permissions.map((granted) => this.metadata.delete(permissionKey(granted))),
    ]);
    return undefined;
  }

  permissions(): readonly StoredPermissions[] {
    return [...this.granted.values()].flatMap((byVhost) => [...byVhost.values()]);
  }

  async setPermissions(
    user: string,
    vhost: string,
    permissions: Permissions | undefined,
  ): Promise<QueueRefusal | undefined> {
    if (!this.byName.has(user)) return refused('NOT_FOUND', `there is no user '${user}'`);
    if (permissions === undefined) {
      this.granted.get(user)?.delete(vhost);
      await this.metadata.delete(permissionKey({ user, vhost }));
      return undefined;
    }
    for (const operation of OPERATIONS) {
      const parsed = permissionPattern(permissions[operation]);
      if (!parsed.ok)
        return refused(
          'PRECONDITION_FAILED',
          `'${permissions[operation].slice(0, 100)}' cannot be what a user may ${operation}: ${parsed.fault}`,
        );
    }
    const { configure, write, read } = permissions;
    const stored = { user, vhost, configure, write, read };
    await this.metadata.put(permissionKey(stored), formatPermissions(stored));
    this.addPermissions(stored);
    return undefined;
  }

  /** What everybody may do in a virtual host that is gone is nothing. */
  async vhostDeleted(vhost: string): Promise<void> {
    const gone = this.permissions().filter((granted) => granted.vhost === vhost);
    for (const { user } of gone) this.granted.get(user)?.delete(vhost);
    await Promise.all(gone.map((granted) => this.metadata.delete(permissionKey(granted))));
  }

  async createGuest(): Promise<void> {
    if (this.metadata.get(CREATED_KEY) !== undefined) return;
    const guest: StoredUser = { name: GUEST, tags: ['administrator'], password: GUEST };
    const all = { user: GUEST, vhost: '/', ...ALL };
    this.addUser(guest);
    this.addPermissions(all);
    await Promise.all([
      this.metadata.put(`${USER_PREFIX}${GUEST}`, formatUser(guest)),
      this.metadata.put(permissionKey(all), formatPermissions(all)),
      this.metadata.put(CREATED_KEY, JSON.stringify({ version: VERSION })),
    ]);
  }

  private addUser(user: StoredUser): void {
    this.byName.set(user.name, user);
  }

  private addPermissions(permissions: StoredPermissions): void {
    const { user, vhost } = permissions;
    const byVhost = this.granted.get(user) ?? new Map<string, StoredPermissions>();
    this.granted.set(user, byVhost.set(vhost, permissions));
  }

  private answersOf(permissions: StoredPermissions): Answers {
    let answers = this.grants.get(permissions);
    if (answers === undefined) {
      answers = new Answers(permissions);
      this.grants.set(permissions, answers);
    }
    return answers;
  }
}

/** What was asked of permissions, and answered. */
class Answers {
  private readonly configure: NameTest;
  private readonly write: NameTest;
  private readonly read: NameTest;

  constructor(permissions: Permissions) {
    this.configure = new NameTest(permissions.configure);
    this.write = new NameTest(permissions.write);
    this.read = new NameTest(permissions.read);
  }

  may(operation: keyof Permissions, name: string): boolean {
    return this[operation].allows(name);
  }
}

class NameTest {
  /** undefined: a stored pattern that cannot be used allows nothing. */
  private readonly pattern: PermissionPattern | undefined;
  private readonly answers = new Map<string, boolean>();

  constructor(pattern: string) {
    const parsed = permissionPattern(pattern);
    this.pattern = parsed.ok ? parsed.pattern : undefined;
  }

  allows(name: string): boolean {
    const remembered = this.answers.get(name);
    if (remembered !== undefined) return remembered;
    const answer = this.pattern?.test(name) ?? false;
    if (this.answers.size >= GRANT_ANSWERS_MAX) this.answers.clear();
    this.answers.set(name, answer);
    return answer;
  }
}

function formatUser({ name, tags, password }: StoredUser): string {
  const user = { version: VERSION, name, tags };
  if (password === undefined) return JSON.stringify(user);
  if (password === GUEST) return JSON.stringify({ ...user, initial: true });
  const { salt, hash } = password;
  return JSON.stringify({
    ...user,
    salt: salt.toString('base64'),
    hash: hash.toString('base64'),
  });
}

function formatPermissions(permissions: StoredPermissions): string {
  return JSON.stringify({ version: VERSION, ...permissions });
}

function readUser(key: string, text: string): StoredUser {
  const record = JSON.parse(text) as {
    readonly version: number;
    readonly name: string;
    readonly tags: readonly string[];
    readonly salt?: string;
    readonly hash?: string;
    readonly initial?: boolean;
  };
  if (record.version !== VERSION) throw unreadable(key, record.version);
  const { name, tags, salt, hash, initial } = record;
  if (initial === true) return { name, tags, password: GUEST };
  const password =
    salt === undefined || hash === undefined
      ? undefined
      : { salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') };
  return { name, tags, password };
}

function readPermissions(key: string, text: string): StoredPermissions {
  const record = JSON.parse(text) as StoredPermissions & { readonly version: number };
  if (record.version !== VERSION) throw unreadable(key, record.version);
  const { user, vhost, configure, write, read } = record;
  return { user, vhost, configure, write, read };
}

function permissionKey({ user, vhost }: { readonly user: string; readonly vhost: string }): string {
  return `${PERMISSION_PREFIX}${keyPart(user)}/${keyPart(vhost)}`;
}

/** A name as a part of a key, without what separates parts. What is no Unicode is replaced. */
function keyPart(name: string): string {
  return encodeURIComponent(Buffer.from(name).toString());
}

function refused(error: QueueRefusal['error'], message: string): QueueRefusal {
  return { ok: false, error, message };
}

function unreadable(key: string, version: number): MillraceError {
  return new MillraceError(
    'ML_DATA_NEWER',
    `${key} is recorded in format ${version}; this Millrace reads ${VERSION}`,
    { fields: { key, version } },
  );
}
