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
  live: Map<string, SimNode>;
  readonly disk: Map<string, SimNode>;
  linkCount: number;
}

export type SimNode =
  | { readonly kind: 'file'; readonly inode: SimInode }
  | { readonly kind: 'directory'; readonly directory: SimDirectory };

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

const ERROR_TEXTS: Readonly<Record<string, string>> = {
  EBADF: 'bad file descriptor',
  EBUSY: 'resource busy or locked',
  EEXIST: 'file already exists',
  EIO: 'i/o error',
  EISDIR: 'illegal operation on a directory',
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
  private readonly root: SimDirectory = { live: new Map(), disk: new Map(), linkCount: 1 };
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

  /** undefined when nothing is there. */
  find(path: string): SimNode | undefined {
    let node: SimNode = { kind: 'directory', directory: this.root };
    for (const name of namesOf(path)) {
      if (node.kind !== 'directory') return undefined;
      const next = node.directory.live.get(name);
      if (next === undefined) return undefined;
      node = next;
    }
    return node;
  }

  directory(path: string): SimDirectory {
    const node = this.find(path);
    if (node === undefined) throw new SimDiskError('ENOENT');
    if (node.kind !== 'directory') throw new SimDiskError('ENOTDIR');
    return node.directory;
  }

  place(path: string): SimPlace {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) throw new SimDiskError('EBUSY');
    return { directory: this.directory(`/${names.join('/')}`), name };
  }

  createFile(place: SimPlace): SimInode {
    const inode = new SimInode(this.nextInodeId++);
    this.link(place, { kind: 'file', inode });
    return inode;
  }

  /** Creates a directory and its missing parents. */
  makeDirectory(path: string): void {
    let { root: directory } = this;
    for (const name of namesOf(path)) {
      let node = directory.live.get(name);
      if (node === undefined) {
        node = {
          kind: 'directory',
          directory: { live: new Map(), disk: new Map(), linkCount: 0 },
        };
        this.link({ directory, name }, node);
      }
      if (node.kind !== 'directory') throw new SimDiskError('EEXIST');
      ({ directory } = node);
    }
  }

  rename(from: SimPlace, to: SimPlace): void {
    const node = from.directory.live.get(from.name);
    if (node === undefined) throw new SimDiskError('ENOENT');
    const replaced = to.directory.live.get(to.name);
    if (replaced === node) return;
    if (replaced !== undefined && replaced.kind !== node.kind)
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

  private link({ directory, name }: SimPlace, node: SimNode): void {
    directory.live.set(name, node);
    if (node.kind === 'file') node.inode.linkCount++;
    else node.directory.linkCount++;
    this.pending.push({ kind: 'link', directory, name, node });
  }

  private drop(node: SimNode): void {
    if (node.kind === 'directory') {
      node.directory.linkCount--;
      return;
    }
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
      else if (!seen.has(node.inode)) {
        seen.add(node.inode);
        visit(node.inode);
      }
    }
  }
}

function namesOf(path: string): string[] {
  assert(path.startsWith('/'), `not an absolute path: ${path}`);
  const names = path.split('/').filter((name) => name !== '');
  assert(!names.includes('..') && !names.includes('.'), `not a plain path: ${path}`);
  return names;
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
    } else {
      node.inode.linkCount = 1;
    }
  }
}
