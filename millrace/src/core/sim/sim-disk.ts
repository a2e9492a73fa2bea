/**
 * The disk of a simulated machine: a tree of names over inodes, twice: `live`, what a running process sees, and
 * `disk`, what is there after a power cut. A change of names is pending until its directory is synced.
 *
 * Invariant: `disk` differs from `live` by the pending changes alone, in their order. A power cut lets any subset of
 * them survive, in no particular order of time; each is atomic, a rename too.
 */

import { assert } from '../errors.ts';
import { PAGE_BYTES, SimInode } from './sim-inode.ts';
import type { SimRandom } from './sim-random.ts';

export interface SimDirectory {
  readonly id: number;
  live: Map<string, SimNode>;
  readonly disk: Map<string, SimNode>;
  linkCount: number;
}

export type SimNode =
  | { readonly kind: 'file'; readonly inode: SimInode }
  | { readonly kind: 'directory'; readonly directory: SimDirectory }
  | { readonly kind: 'symlink'; readonly target: string };

type NameChange =
  | {
      readonly kind: 'link';
      readonly directory: SimDirectory;
      readonly name: string;
      readonly node: SimNode;
    }
  | { readonly kind: 'unlink'; readonly directory: SimDirectory; readonly name: string }
  | {
      readonly kind: 'rename';
      readonly directory: SimDirectory;
      readonly name: string;
      readonly node: SimNode;
      readonly fromDirectory: SimDirectory;
      readonly fromName: string;
    };

/** Where a path leads: the directory that holds its last name, and that name. */
export interface SimPlace {
  readonly directory: SimDirectory;
  readonly name: string;
}

/** Links that one path may lead through, as on Linux. */
const LINKS_MAX = 40;

/** Where a path has led: its last name may name nothing. */
interface Walk {
  /** The directories on the way, from the root, and the names that were followed: `names[i]` is in `directories[i]`. */
  readonly directories: SimDirectory[];
  readonly names: string[];
  /** What is there. */
  node: SimNode | undefined;
}

const ERROR_TEXTS: Readonly<Record<string, string>> = {
  EBADF: 'bad file descriptor',
  EBUSY: 'resource busy or locked',
  EEXIST: 'file already exists',
  EIO: 'i/o error',
  EISDIR: 'illegal operation on a directory',
  ELOOP: 'too many symbolic links encountered',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
};

/** A failed call, as the operating system would report it. */
export class SimDiskError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`${code}: ${ERROR_TEXTS[code] ?? 'error'}`);
    this.code = code;
  }
}

export class SimDisk {
  capacityBytes: number;
  /** Bytes that files occupy, whether they still have a name or are only open. */
  usedBytes = 0;
  private readonly random: SimRandom;
  private readonly root: SimDirectory = { id: 0, live: new Map(), disk: new Map(), linkCount: 1 };
  private pending: NameChange[] = [];
  private nextInodeId = 1;
  /** Files without a name that a process still has open. */
  private readonly orphans = new Set<SimInode>();

  constructor(capacityBytes: number, random: SimRandom) {
    this.capacityBytes = capacityBytes;
    this.random = random;
  }

  freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.usedBytes);
  }

  /** undefined when nothing is there, or only a link that leads nowhere. */
  find(path: string): SimNode | undefined {
    return this.walk(path, true)?.node;
  }

  /** As `find`, but a link at the end of the path is what is found. */
  findLink(path: string): SimNode | undefined {
    return this.walk(path, false)?.node;
  }

  directory(path: string): SimDirectory {
    const node = this.find(path);
    if (node === undefined) throw new SimDiskError('ENOENT');
    if (node.kind !== 'directory') throw new SimDiskError('ENOTDIR');
    return node.directory;
  }

  /** Where the last name of the path is, or will be. @param follows a link there counts as what it leads to */
  place(path: string, follows = false): SimPlace {
    const walk = this.walk(path, follows);
    if (walk === undefined) {
      // Something on the way is missing, or no directory: say which.
      const parent = path.slice(0, path.lastIndexOf('/'));
      this.directory(parent === '' ? '/' : parent);
      throw new SimDiskError('ENOENT');
    }
    const name = walk.names.at(-1);
    const directory = walk.directories.at(-1);
    if (name === undefined || directory === undefined) throw new SimDiskError('EBUSY');
    return { directory, name };
  }

  /** The path of what is there, without links. */
  realPath(path: string): string {
    const walk = this.walk(path, true);
    if (walk?.node === undefined) throw new SimDiskError('ENOENT');
    return `/${walk.names.join('/')}`;
  }

  symlink(target: string, path: string): void {
    const place = this.place(path);
    if (place.directory.live.has(place.name)) throw new SimDiskError('EEXIST');
    this.link(place, { kind: 'symlink', target });
  }

  createFile(place: SimPlace): SimInode {
    const inode = new SimInode(this.nextInodeId++);
    this.link(place, { kind: 'file', inode });
    return inode;
  }

  /** Creates a directory and its missing parents. */
  makeDirectory(path: string): void {
    let made = '';
    for (const name of namesOf(path)) {
      made += `/${name}`;
      const node = this.find(made);
      if (node?.kind === 'directory') continue;
      // A link that leads nowhere is in the way, too.
      if (node !== undefined || this.findLink(made) !== undefined) throw new SimDiskError('EEXIST');
      const id = this.nextInodeId++;
      const directory = { id, live: new Map(), disk: new Map(), linkCount: 0 };
      this.link(this.place(made), { kind: 'directory', directory });
    }
  }

  rename(from: SimPlace, to: SimPlace): void {
    const node = from.directory.live.get(from.name);
    if (node === undefined) throw new SimDiskError('ENOENT');
    const replaced = to.directory.live.get(to.name);
    if (replaced === node) return;
    if (replaced !== undefined && (replaced.kind === 'directory') !== (node.kind === 'directory'))
      throw new SimDiskError(replaced.kind === 'directory' ? 'EISDIR' : 'ENOTDIR');
    if (replaced?.kind === 'directory' && replaced.directory.live.size > 0)
      throw new SimDiskError('ENOTEMPTY');
    from.directory.live.delete(from.name);
    to.directory.live.set(to.name, node);
    this.pending.push({
      kind: 'rename',
      directory: to.directory,
      name: to.name,
      node,
      fromDirectory: from.directory,
      fromName: from.name,
    });
    if (replaced !== undefined) this.drop(replaced);
  }

  /** Takes a name away: of a file, or of an empty directory. */
  unlink({ directory, name }: SimPlace): void {
    const node = directory.live.get(name);
    if (node === undefined) throw new SimDiskError('ENOENT');
    if (node.kind === 'directory' && node.directory.live.size > 0)
      throw new SimDiskError('ENOTEMPTY');
    directory.live.delete(name);
    this.pending.push({ kind: 'unlink', directory, name });
    this.drop(node);
  }

  open(inode: SimInode): void {
    inode.openCount++;
  }

  close(inode: SimInode): void {
    inode.openCount--;
    this.reclaim(inode);
  }

  /** Writes as much as the device has room for; the count is 0 only when there is none for the first byte. */
  write(inode: SimInode, bytes: Uint8Array, start: number, end: number, position: number): number {
    let stop = end;
    // Page by page from the end: what lies beyond the room is not written.
    while (stop > start && inode.missingBytes(position, stop - start) > this.freeBytes()) {
      const over = (position + (stop - start)) % PAGE_BYTES;
      stop -= Math.min(stop - start, over === 0 ? PAGE_BYTES : over);
    }
    if (stop === start) return 0;
    const before = inode.allocatedBytes();
    inode.write(bytes, start, stop, position);
    this.usedBytes += inode.allocatedBytes() - before;
    return stop - start;
  }

  truncate(inode: SimInode, sizeBytes: number): void {
    const before = inode.allocatedBytes();
    inode.truncate(sizeBytes);
    this.usedBytes += inode.allocatedBytes() - before;
  }

  /** The changes that a sync of `directory` makes durable: its own, and those that must come before them. */
  beginSync(directory: SimDirectory): ReadonlySet<unknown> {
    const directories = new Set([directory]);
    const changes = new Set<NameChange>();
    for (let index = this.pending.length - 1; index >= 0; index--) {
      const change = this.pending[index];
      if (change === undefined || !touches(change, directories)) continue;
      changes.add(change);
      directories.add(change.directory);
      if (change.kind === 'rename') directories.add(change.fromDirectory);
    }
    return changes;
  }

  completeSync(changes: ReadonlySet<unknown>): void {
    this.pending = this.pending.filter((change) => {
      if (!changes.has(change)) return true;
      apply(change);
      return false;
    });
  }

  /** Makes everything durable, as if the machine had been shut down in order. */
  settle(): void {
    this.completeSync(new Set(this.pending));
    this.forEachInode(this.root, new Set(), (inode) => {
      inode.completeSync(inode.beginSync(), this.random);
    });
  }

  /** The power goes: what was not synced survives by chance. */
  cutPower(): void {
    const { random } = this;
    // A journal keeps the order of changes, other file systems do not: sometimes a prefix, sometimes any subset.
    const survival = random.next();
    const prefixLength = random.chance(0.5) ? random.below(this.pending.length + 1) : undefined;
    this.pending.forEach((change, index) => {
      const survives = prefixLength === undefined ? random.chance(survival) : index < prefixLength;
      if (survives) apply(change);
    });
    this.pending = [];
    this.orphans.clear();
    this.usedBytes = 0;
    restore(this.root);
    this.forEachInode(this.root, new Set(), (inode) => {
      inode.cutPower(random);
      this.usedBytes += inode.allocatedBytes();
    });
  }

  /** A process dies: its open files are closed. */
  closeAll(): void {
    for (const inode of this.orphans) this.usedBytes -= inode.allocatedBytes();
    this.orphans.clear();
    this.forEachInode(this.root, new Set(), (inode) => {
      inode.openCount = 0;
    });
  }

  /** Follows a path name by name. undefined when a name before the last leads to no directory. */
  private walk(path: string, followsLast: boolean): Walk | undefined {
    let rest = namesOf(path);
    const root: SimNode = { kind: 'directory', directory: this.root };
    const walk: Walk = { directories: [], names: [], node: root };
    let linkCount = 0;
    for (let at = 0; at < rest.length; ) {
      const name = rest[at++];
      if (name === undefined || walk.node?.kind !== 'directory') return undefined;
      if (name === '..') {
        walk.names.pop();
        const parent = walk.directories.pop();
        if (parent !== undefined) walk.node = { kind: 'directory', directory: parent };
        continue;
      }
      const { directory }: { directory: SimDirectory } = walk.node;
      const next = directory.live.get(name);
      if (next?.kind === 'symlink' && (followsLast || at < rest.length)) {
        if (++linkCount > LINKS_MAX) throw new SimDiskError('ELOOP');
        rest = [...partsOf(next.target), ...rest.slice(at)];
        at = 0;
        if (!next.target.startsWith('/')) continue;
        walk.names.length = 0;
        walk.directories.length = 0;
        walk.node = root;
        continue;
      }
      walk.directories.push(directory);
      walk.names.push(name);
      walk.node = next;
    }
    return walk;
  }

  private link({ directory, name }: SimPlace, node: SimNode): void {
    directory.live.set(name, node);
    if (node.kind === 'file') node.inode.linkCount++;
    else if (node.kind === 'directory') node.directory.linkCount++;
    this.pending.push({ kind: 'link', directory, name, node });
  }

  private drop(node: SimNode): void {
    if (node.kind === 'directory') {
      node.directory.linkCount--;
      return;
    }
    if (node.kind === 'symlink') return;
    node.inode.linkCount--;
    if (node.inode.openCount > 0) this.orphans.add(node.inode);
    else this.reclaim(node.inode);
  }

  private reclaim(inode: SimInode): void {
    if (inode.openCount > 0 || inode.linkCount > 0) return;
    this.orphans.delete(inode);
    this.usedBytes -= inode.allocatedBytes();
  }

  private forEachInode(
    directory: SimDirectory,
    seen: Set<SimInode>,
    visit: (inode: SimInode) => void,
  ): void {
    for (const node of directory.live.values()) {
      if (node.kind === 'directory') this.forEachInode(node.directory, seen, visit);
      else if (node.kind === 'file' && !seen.has(node.inode)) {
        seen.add(node.inode);
        visit(node.inode);
      }
    }
  }
}

/** Programs name few paths, often: what they were cut into is kept. */
const namesByPath = new Map<string, readonly string[]>();
const KEPT_PATHS_MAX = 10_000;

function namesOf(path: string): readonly string[] {
  const known = namesByPath.get(path);
  if (known !== undefined) return known;
  assert(path.startsWith('/'), `not an absolute path: ${path}`);
  const names = partsOf(path);
  assert(!names.includes('..') && !/\/\.(?:\/|$)/.test(path), `not a plain path: ${path}`);
  if (namesByPath.size === KEPT_PATHS_MAX) namesByPath.clear();
  namesByPath.set(path, names);
  return names;
}

function partsOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

function touches(change: NameChange, directories: ReadonlySet<SimDirectory>): boolean {
  if (directories.has(change.directory)) return true;
  return change.kind === 'rename' && directories.has(change.fromDirectory);
}

function apply(change: NameChange): void {
  const { directory, name } = change;
  switch (change.kind) {
    case 'unlink':
      directory.disk.delete(name);
      return;
    case 'link':
      directory.disk.set(name, change.node);
      return;
    case 'rename': {
      const { fromDirectory, fromName, node } = change;
      if (fromDirectory.disk.get(fromName) === node) fromDirectory.disk.delete(fromName);
      directory.disk.set(name, node);
    }
  }
}

/** Makes the live tree what the disk holds. */
function restore(directory: SimDirectory): void {
  directory.live = new Map(directory.disk);
  for (const node of directory.live.values()) {
    if (node.kind === 'directory') {
      node.directory.linkCount = 1;
      restore(node.directory);
    } else if (node.kind === 'file') {
      node.inode.linkCount = 1;
    }
  }
}
