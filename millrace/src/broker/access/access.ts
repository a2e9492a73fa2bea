/**
 * Users, and what they may do in which virtual host; kept in the metadata log. Of passwords only a salted hash is kept (scrypt).
 *
 * Source: RabbitMQ's access control: configure, write, read, each a regular expression over names of exchanges and queues.
 */
import type { QueueRefusal } from '../queues/queue.ts';

export interface User {
  readonly name: string;
  /** `administrator` may ask for, and change, what is of others. Free otherwise. */
  readonly tags: readonly string[];
}

export interface Permissions {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** What a user may do in one virtual host. Cheap: patterns are compiled, and answers remembered. */
export interface Grant {
  readonly user: User;
  readonly vhost: string;
  may(operation: keyof Permissions, name: string): boolean;
}

export interface Access {
  /**
   * undefined: no such user, or another password; both take the same time.
   * @param isWanted asked when it is its turn: whether anybody still waits for the answer. Default: yes
   */
  authenticate(name: string, password: string, isWanted?: () => boolean): Promise<User | undefined>;
  /** undefined: this user has nothing to do in that virtual host. A grant follows later changes of the permissions. */
  grant(user: User, vhost: string): Grant | undefined;
  users(): readonly User[];
  /** Adds a user, or changes one; without a password it stays as it was. `guest` (password `guest`, from this machine alone) is there from the first start. */
  setUser(
    name: string,
    change: { readonly password?: string; readonly tags?: readonly string[] },
  ): Promise<QueueRefusal | undefined>;
  deleteUser(name: string): Promise<QueueRefusal | undefined>;
  permissions(): readonly (Permissions & { readonly user: string; readonly vhost: string })[];
  /** undefined takes them away. @returns NOT_FOUND; PRECONDITION_FAILED for what is no regular expression */
  setPermissions(
    user: string,
    vhost: string,
    permissions: Permissions | undefined,
  ): Promise<QueueRefusal | undefined>;
}
