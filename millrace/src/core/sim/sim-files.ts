/**
 * The file system that a process of a simulated machine sees: the calls of `FileSystem` over a `SimDisk`, with the
 * faults that are switched on.
 *
 * Invariant: every call is a step, and so is the end of every call that runs beside the event loop. The power may go
 * at any step; a call of a dead process touches nothing: it throws `SimPowerCut`, or never settles.
 */

import { crc32 } from 'node:zlib';
import type { LockHolder } from '../directory-lock.ts';
import { LOCK_DESCRIPTION_FILE, lockedError, parseLockHolder } from '../directory-lock.ts';
import type { DirectoryLock, File, FileStat, FileSystem, OpenMode } from '../env.ts';
import { assert, MillraceError } from '../errors.ts';
import { WRITE_BUFFERS_MAX } from '../limits.ts';
import { systemError } from '../system-error.ts';
import { SimDiskError } from './sim-disk.ts';
import type { SimInode } from './sim-inode.ts';
import type { SimCallKind, SimProcess } from './sim-process.ts';

export class SimFileSystem implements FileSystem {
  private readonly process: SimProcess;

  constructor(process: SimProcess) {
    this.process = process;
  }

  /** Nobody says. */
  get descriptorsMax(): number {
    return Infinity;
  }

  open(path: string, mode: OpenMode): File {
    const { process } = this;
    const isNew = mode === 'create' || mode === 'publish';
    return process.call(`open ${path}`, path, () => {
      const { disk } = process.core;
      const node = disk.find(path);
      if (node?.kind === 'directory') throw new SimDiskError('EISDIR');
      if (node !== undefined && isNew) throw new SimDiskError('EEXIST');
      if (node === undefined && (mode === 'read' || mode === 'write'))
        throw new SimDiskError('ENOENT');
      if (isNew && disk.findLink(path) !== undefined) throw new SimDiskError('EEXIST');
      const inode = node?.kind === 'file' ? node.inode : disk.createFile(disk.place(path, true));
      inode.modifiedMs ||= process.core.wallMs();
      disk.open(inode);
      return new SimFile(process, path, inode, mode !== 'read');
    });
  }

  stat(path: string): FileStat | undefined {
    const { process } = this;
    return process.call(`stat ${path}`, path, () => {
      const node = process.core.disk.find(path);
      if (node?.kind === 'directory') {
        const { id } = node.directory;
        return { kind: 'directory', sizeBytes: 4096, modifiedMs: 0, device: 1, inode: id };
      }
      if (node?.kind !== 'file') return undefined;
      const { id, liveBytes, modifiedMs } = node.inode;
      return { kind: 'file', sizeBytes: liveBytes, modifiedMs, device: 1, inode: id };
    });
  }

  list(path: string): string[] {
    const { process } = this;
    return process.call(`list ${path}`, path, () => {
      const node = process.core.disk.find(path);
      if (node === undefined) return [];
      if (node.kind !== 'directory') throw new SimDiskError('ENOTDIR');
      return [...node.directory.live.keys()].sort();
    });
  }

  makeDirectory(path: string): void {
    const { process } = this;
    process.call(`make directory ${path}`, path, () => process.core.disk.makeDirectory(path));
  }

  publishDirectory(path: string): void {
    this.makeDirectory(path);
  }

  rename(from: string, to: string): void {
    const { process } = this;
    process.call(`rename ${from} to ${to}`, from, () => {
      const { disk } = process.core;
      disk.rename(disk.place(from), disk.place(to));
    });
  }

  symlink(target: string, path: string): void {
    const { process } = this;
    process.call(`link ${path} to ${target}`, path, () => process.core.disk.symlink(target, path));
  }

  readLink(path: string): string | undefined {
    const { process } = this;
    return process.call(`read link ${path}`, path, () => {
      const node = process.core.disk.findLink(path);
      return node?.kind === 'symlink' ? node.target : undefined;
    });
  }

  realPath(path: string): string {
    const { process } = this;
    return process.call(`follow ${path}`, path, () => process.core.disk.realPath(path));
  }

  remove(path: string): Promise<void> {
    const { process } = this;
    const { disk } = process.core;
    return process.callAsync(`remove ${path}`, path, 'metadata', () => () => {
      const node = disk.findLink(path);
      if (node?.kind === 'directory') throw new SimDiskError('EISDIR');
      if (node !== undefined) disk.unlink(disk.place(path));
    });
  }

  async removeDirectory(path: string): Promise<void> {
    const { disk } = this.process.core;
    const node = disk.findLink(path);
    // One name after the other, as rm does: a power cut may leave any part.
    if (node?.kind === 'directory')
      for (const name of [...node.directory.live.keys()].sort())
        await this.removeDirectory(`${path}/${name}`);
    await this.process.callAsync(`remove ${path}`, path, 'metadata', () => () => {
      if (disk.findLink(path) !== undefined) disk.unlink(disk.place(path));
    });
  }

  removeIfEmpty(path: string): Promise<void> {
    const { process } = this;
    const { disk } = process.core;
    return process.callAsync(`remove ${path}`, path, 'metadata', () => () => {
      const node = disk.findLink(path);
      if (node === undefined) return;
      if (node.kind !== 'directory') throw new SimDiskError('ENOTDIR');
      if (node.directory.live.size === 0) disk.unlink(disk.place(path));
    });
  }

  syncDirectory(path: string): Promise<void> {
    const { process } = this;
    const { disk } = process.core;
    return process.callAsync(`sync directory ${path}`, path, 'sync', () => {
      const changes = disk.beginSync(disk.directory(path));
      const isFailing = isSyncFailing(process);
      return () => {
        // What a failed sync has written is unknown: here nothing, so that nobody can rely on it.
        if (isFailing) throw syncFailure(`sync directory ${path}`, path);
        disk.completeSync(changes);
      };
    });
  }

  freeBytes(path: string): Promise<number> {
    const { process } = this;
    return process.callAsync(`ask for the free space of ${path}`, path, 'metadata', () => {
      if (process.core.disk.find(path) === undefined) throw new SimDiskError('ENOENT');
      return () => process.core.disk.freeBytes();
    });
  }

  lock(path: string): DirectoryLock {
    const { process } = this;
    const { disk, locks } = process.core;
    return process.call(`lock ${path}`, path, () => {
      disk.directory(path);
      const descriptionPath = `${path}/${LOCK_DESCRIPTION_FILE}`;
      if (locks.has(path)) throw lockedError(path, this.readHolder(descriptionPath));
      locks.add(path);
      const lockPath = `${path}/lock.db`;
      if (disk.find(lockPath) === undefined) disk.createFile(disk.place(lockPath));
      this.describe(descriptionPath);
      let isReleased = false;
      return {
        release: () => {
          if (isReleased || !process.isAlive) return;
          isReleased = true;
          process.step(`unlock ${path}`);
          if (disk.find(descriptionPath) !== undefined) disk.unlink(disk.place(descriptionPath));
          locks.delete(path);
        },
      };
    });
  }

  private describe(descriptionPath: string): void {
    const { disk } = this.process.core;
    const holder: LockHolder = {
      pid: this.process.pid,
      host: 'simulated',
      startedAt: new Date(this.process.core.wallMs()).toISOString(),
    };
    const bytes = Buffer.from(`${JSON.stringify(holder)}\n`);
    const node = disk.find(descriptionPath);
    const inode = node?.kind === 'file' ? node.inode : disk.createFile(disk.place(descriptionPath));
    disk.truncate(inode, 0);
    disk.write(inode, bytes, 0, bytes.length, 0);
  }

  private readHolder(descriptionPath: string): LockHolder | undefined {
    const node = this.process.core.disk.find(descriptionPath);
    if (node?.kind !== 'file') return undefined;
    const bytes = Buffer.alloc(node.inode.liveBytes);
    node.inode.read(bytes, 0, bytes.length, 0);
    return parseLockHolder(bytes.toString());
  }
}

class SimFile implements File {
  readonly path: string;
  private readonly process: SimProcess;
  private readonly inode: SimInode;
  private readonly isWritable: boolean;
  private isClosed = false;
  private pendingCount = 0;

  constructor(process: SimProcess, path: string, inode: SimInode, isWritable: boolean) {
    this.process = process;
    this.path = path;
    this.inode = inode;
    this.isWritable = isWritable;
  }

  size(): number {
    return this.call('ask for the size of', () => this.inode.liveBytes);
  }

  write(buffer: Uint8Array, start: number, end: number, position: number): number {
    return this.call('write', () => {
      checkRange(buffer, start, end, position);
      return this.put(buffer, start, end, position);
    });
  }

  writeMany(buffers: readonly Uint8Array[], position: number): number {
    const bytes = joined(buffers);
    return this.call('write', () => this.put(bytes, 0, bytes.length, position));
  }

  writeManyAsync(buffers: readonly Uint8Array[], position: number): Promise<number> {
    return this.callAsync('write', 'write', () => {
      // The device may take the bytes at once or at the end: a caller that changes them meanwhile is found out.
      if (this.process.core.diskRandom.chance(0.5)) {
        const bytes = joined(buffers);
        const count = this.put(bytes, 0, bytes.length, position);
        return () => count;
      }
      return () => {
        const bytes = joined(buffers);
        return this.put(bytes, 0, bytes.length, position);
      };
    });
  }

  read(buffer: Uint8Array, start: number, end: number, position: number): number {
    return this.call('read', () => {
      checkRange(buffer, start, end, position);
      return this.get(buffer, start, end, position);
    });
  }

  readAsync(buffer: Uint8Array, start: number, end: number, position: number): Promise<number> {
    return this.callAsync('read', 'read', () => {
      checkRange(buffer, start, end, position);
      return () => this.get(buffer, start, end, position);
    });
  }

  truncate(sizeBytes: number): void {
    this.call('truncate', () => {
      this.checkWritable();
      this.process.core.trace.add(`  to ${sizeBytes}`);
      this.process.core.disk.truncate(this.inode, sizeBytes);
      this.inode.modifiedMs = this.process.core.wallMs();
    });
  }

  sync(): Promise<void> {
    const { inode, path } = this;
    const { diskRandom } = this.process.core;
    return this.callAsync('sync', 'sync', () => {
      const sync = inode.beginSync();
      const isFailing = isSyncFailing(this.process);
      return () => {
        if (!isFailing) {
          inode.completeSync(sync, diskRandom);
          return;
        }
        inode.failSync(sync, diskRandom);
        throw syncFailure(`sync ${path}`, path);
      };
    });
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.pendingCount === 0) this.release();
  }

  private put(buffer: Uint8Array, start: number, end: number, position: number): number {
    this.checkWritable();
    const { inode, process } = this;
    const { disk, diskRandom, faults, trace } = process.core;
    if (start === end) return 0;
    const isShort = end - start > 1 && diskRandom.chance(faults.shortWriteProbability);
    const stop = isShort ? start + 1 + diskRandom.below(end - start - 1) : end;
    const count = disk.write(inode, buffer, start, stop, position);
    if (count === 0) throw new SimDiskError('ENOSPC');
    inode.modifiedMs = process.core.wallMs();
    trace.add(`  ${position}+${count} ${crc32(buffer.subarray(start, start + count))}`);
    if (diskRandom.chance(faults.writeBackProbability)) inode.writeBack(diskRandom);
    return count;
  }

  private get(buffer: Uint8Array, start: number, end: number, position: number): number {
    const { inode, process } = this;
    const { diskRandom, faults, trace } = process.core;
    if (faults.isUnreadable(inode, position, end - start)) throw new SimDiskError('EIO');
    if (diskRandom.chance(faults.readErrorProbability)) throw new SimDiskError('EIO');
    const isShort = end - start > 1 && diskRandom.chance(faults.shortReadProbability);
    const stop = isShort ? start + 1 + diskRandom.below(end - start - 1) : end;
    const count = inode.read(buffer, start, stop, position);
    trace.add(`  ${position}+${count}`);
    return count;
  }

  private call<T>(doing: string, work: () => T): T {
    return this.process.call(`${doing} ${this.path}`, this.path, () => {
      this.checkOpen(doing);
      return work();
    });
  }

  /** As `call`; `begin` returns what is done at the end. The file stays open until then. */
  private async callAsync<T>(doing: string, kind: SimCallKind, begin: () => () => T): Promise<T> {
    this.checkOpen(doing);
    this.pendingCount++;
    try {
      return await this.process.callAsync(`${doing} ${this.path}`, this.path, kind, begin);
    } finally {
      this.pendingCount--;
      if (this.isClosed && this.pendingCount === 0) this.release();
    }
  }

  private release(): void {
    if (this.process.isAlive) this.process.core.disk.close(this.inode);
  }

  private checkOpen(doing: string): void {
    if (!this.isClosed) return;
    throw new MillraceError('ML_FILE_CLOSED', `cannot ${doing} ${this.path}: it is closed`, {
      fields: { path: this.path },
    });
  }

  private checkWritable(): void {
    if (!this.isWritable) throw new SimDiskError('EBADF');
  }
}

function isSyncFailing({ core }: SimProcess): boolean {
  const { diskRandom, faults, stepCount } = core;
  return faults.takesSyncFailure(stepCount) || diskRandom.chance(faults.syncErrorProbability);
}

function syncFailure(what: string, path: string): MillraceError {
  return systemError(new SimDiskError('EIO'), what, 'ML_FSYNC_FAILED', { path });
}

function checkRange(buffer: Uint8Array, start: number, end: number, position: number): void {
  const isInside = start >= 0 && start <= end && end <= buffer.length;
  assert(isInside && position >= 0, `bytes ${start} to ${end} of ${buffer.length} at ${position}`);
}

/** Good until the buffers change: a single one is not copied. */
function joined(buffers: readonly Uint8Array[]): Uint8Array {
  assert(buffers.length <= WRITE_BUFFERS_MAX, `${buffers.length} buffers in one write`);
  const [first] = buffers;
  return buffers.length === 1 && first !== undefined ? first : Buffer.concat(buffers);
}
