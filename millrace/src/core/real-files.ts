/**
 * The file system of the machine, over `node:fs`. A synchronous call is one system call and nothing else.
 *
 * Invariant: a descriptor is closed only when no call that uses it is under way, because the kernel gives the number
 * of a closed one to the next file that is opened.
 */

import * as nodeFs from 'node:fs';
import { dirname } from 'node:path';
import type { DirectoryLock, File, FileStat, FileSystem, OpenMode } from './env.ts';
import type { ErrorCode } from './errors.ts';
import { MillraceError } from './errors.ts';
import { lockDirectory } from './real-lock.ts';
import { errnoName, systemError } from './system-error.ts';

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = nodeFs.constants;

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  write: O_RDWR,
  create: O_RDWR | O_CREAT | O_EXCL,
  publish: O_RDWR | O_CREAT | O_EXCL,
  open: O_RDWR | O_CREAT,
};
/** Data is for the user that runs Millrace and its group, not for everybody. */
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;
/** Outputs are for whom the umask says, as those of any other tool. */
const PUBLIC_FILE_MODE = 0o666;
const PUBLIC_DIRECTORY_MODE = 0o777;

/** Linux says it. `Max open files  <soft>  <hard>  files` */
const LIMITS_FILE = '/proc/self/limits';

export class RealFileSystem implements FileSystem {
  get descriptorsMax(): number {
    let limits: string;
    try {
      limits = nodeFs.readFileSync(LIMITS_FILE, 'utf8');
    } catch {
      return Infinity;
    }
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? Infinity : Number(soft);
  }

  open(path: string, mode: OpenMode): File {
    try {
      const access = mode === 'publish' ? PUBLIC_FILE_MODE : FILE_MODE;
      return new RealFile(path, nodeFs.openSync(path, OPEN_FLAGS[mode], access));
    } catch (error) {
      throw systemError(error, `open ${path}`, undefined, { path });
    }
  }

  stat(path: string): FileStat | undefined {
    try {
      const stat = nodeFs.statSync(path, { throwIfNoEntry: false });
      if (stat === undefined) return undefined;
      return {
        kind: stat.isDirectory() ? 'directory' : 'file',
        sizeBytes: stat.size,
        modifiedMs: stat.mtimeMs,
        device: stat.dev,
        inode: stat.ino,
        ...(stat.isFile() || stat.isDirectory() ? {} : { isSpecial: true }),
      };
    } catch (error) {
      if (errnoName(error) === 'ENOTDIR') return undefined;
      throw systemError(error, `stat ${path}`, undefined, { path });
    }
  }

  list(path: string): string[] {
    try {
      return nodeFs.readdirSync(path).sort();
    } catch (error) {
      if (errnoName(error) === 'ENOENT') return [];
      throw systemError(error, `list ${path}`, undefined, { path });
    }
  }

  makeDirectory(path: string): void {
    makeDirectory(path, DIRECTORY_MODE);
  }

  publishDirectory(path: string): void {
    makeDirectory(path, PUBLIC_DIRECTORY_MODE);
  }

  rename(from: string, to: string): void {
    try {
      nodeFs.renameSync(from, to);
    } catch (error) {
      throw systemError(error, `rename ${from} to ${to}`, undefined, { path: from, to });
    }
  }

  symlink(target: string, path: string): void {
    try {
      nodeFs.symlinkSync(target, path);
    } catch (error) {
      throw systemError(error, `make link ${path}`, undefined, { path });
    }
  }

  readLink(path: string): string | undefined {
    try {
      return nodeFs.readlinkSync(path);
    } catch (error) {
      const name = errnoName(error);
      // EINVAL: there is something that is no link (UNKNOWN on Windows).
      if (name === 'EINVAL' || name === 'ENOENT' || name === 'ENOTDIR' || name === 'UNKNOWN')
        return undefined;
      throw systemError(error, `read link ${path}`, undefined, { path });
    }
  }

  realPath(path: string): string {
    try {
      return nodeFs.realpathSync.native(path);
    } catch (error) {
      throw systemError(error, `follow ${path}`, undefined, { path });
    }
  }

  remove(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      nodeFs.unlink(path, (error) => {
        if (error === null || error.code === 'ENOENT') resolve();
        else reject(systemError(error, `remove ${path}`, undefined, { path }));
      });
    });
  }

  removeDirectory(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      nodeFs.rm(path, { recursive: true, force: true }, (error) => {
        if (error === null) resolve();
        else reject(systemError(error, `remove directory ${path}`, undefined, { path }));
      });
    });
  }

  removeIfEmpty(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      nodeFs.rmdir(path, (error) => {
        // Some systems say EEXIST for ENOTEMPTY.
        if (error === null || ['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code ?? ''))
          resolve();
        else reject(systemError(error, `remove directory ${path}`, undefined, { path }));
      });
    });
  }

  async syncDirectory(path: string): Promise<void> {
    // Windows cannot sync a directory; NTFS journals its names by itself.
    if (process.platform === 'win32') return;
    let fd: number;
    try {
      fd = nodeFs.openSync(path, O_RDONLY);
    } catch (error) {
      throw systemError(error, `open directory ${path}`, undefined, { path });
    }
    try {
      await new Promise<void>((resolve, reject) => {
        nodeFs.fsync(fd, (error) => {
          if (error === null) resolve();
          else reject(systemError(error, `sync directory ${path}`, 'ML_FSYNC_FAILED', { path }));
        });
      });
    } finally {
      nodeFs.closeSync(fd);
    }
  }

  freeBytes(path: string): Promise<number> {
    return new Promise((resolve, reject) => {
      nodeFs.statfs(path, (error, stats) => {
        if (error === null) resolve(stats.bavail * stats.bsize);
        else reject(systemError(error, `ask for the free space of ${path}`, undefined, { path }));
      });
    });
  }

  lock(path: string): DirectoryLock {
    return lockDirectory(path);
  }
}

class RealFile implements File {
  readonly path: string;
  private readonly fd: number;
  private isClosed = false;
  /** Calls beside the event loop that still use the descriptor. */
  private pendingCount = 0;

  constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
  }

  size(): number {
    if (this.isClosed) throw this.closedError('ask for the size of');
    try {
      return nodeFs.fstatSync(this.fd).size;
    } catch (error) {
      throw this.error(error, 'ask for the size of');
    }
  }

  write(buffer: Uint8Array, start: number, end: number, position: number): number {
    if (this.isClosed) throw this.closedError('write');
    try {
      return nodeFs.writeSync(this.fd, buffer, start, end - start, position);
    } catch (error) {
      throw this.error(error, 'write', position);
    }
  }

  writeMany(buffers: readonly Uint8Array[], position: number): number {
    if (this.isClosed) throw this.closedError('write');
    try {
      return nodeFs.writevSync(this.fd, buffers, position);
    } catch (error) {
      throw this.error(error, 'write', position);
    }
  }

  writeManyAsync(buffers: readonly Uint8Array[], position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) throw this.closedError('write');
      this.pendingCount++;
      nodeFs.writev(this.fd, buffers as Uint8Array[], position, (error, count) => {
        this.done();
        if (error === null) resolve(count);
        else reject(this.error(error, 'write', position));
      });
    });
  }

  read(buffer: Uint8Array, start: number, end: number, position: number): number {
    if (this.isClosed) throw this.closedError('read');
    try {
      return nodeFs.readSync(this.fd, buffer, start, end - start, position);
    } catch (error) {
      throw this.error(error, 'read', position);
    }
  }

  readAsync(buffer: Uint8Array, start: number, end: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) throw this.closedError('read');
      this.pendingCount++;
      nodeFs.read(this.fd, buffer, start, end - start, position, (error, count) => {
        this.done();
        if (error === null) resolve(count);
        else reject(this.error(error, 'read', position));
      });
    });
  }

  truncate(sizeBytes: number): void {
    if (this.isClosed) throw this.closedError('truncate');
    try {
      nodeFs.ftruncateSync(this.fd, sizeBytes);
    } catch (error) {
      throw this.error(error, 'truncate');
    }
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) throw this.closedError('sync');
      this.pendingCount++;
      nodeFs.fdatasync(this.fd, (error) => {
        this.done();
        if (error === null) resolve();
        else reject(this.error(error, 'sync', undefined, 'ML_FSYNC_FAILED'));
      });
    });
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.pendingCount === 0) this.closeDescriptor();
  }

  private done(): void {
    this.pendingCount--;
    if (this.isClosed && this.pendingCount === 0) this.closeDescriptor();
  }

  private closeDescriptor(): void {
    try {
      nodeFs.closeSync(this.fd);
    } catch {
      // What close(2) reports was promised by nobody: only `sync` promises, and it has reported its own failures.
    }
  }

  private error(error: unknown, doing: string, position?: number, code?: ErrorCode): MillraceError {
    const { path } = this;
    if (position === undefined) return systemError(error, `${doing} ${path}`, code, { path });
    const what = `${doing} ${path} at ${position}`;
    return systemError(error, what, code, { path, position });
  }

  private closedError(doing: string): MillraceError {
    return new MillraceError('ML_FILE_CLOSED', `cannot ${doing} ${this.path}: it is closed`, {
      fields: { path: this.path },
    });
  }
}

function makeDirectory(path: string, mode: number): void {
  try {
    nodeFs.mkdirSync(path, { recursive: true, mode });
  } catch (error) {
    throw systemError(whyNotMade(path, error), `make directory ${path}`, undefined, { path });
  }
}

/** Node says ENOENT for whatever keeps it from making one of several directories, such as a file system that is read-only. */
function whyNotMade(path: string, error: unknown): unknown {
  if (errnoName(error) !== 'ENOENT') return error;
  let missing = path;
  while (dirname(missing) !== missing && !nodeFs.existsSync(dirname(missing)))
    missing = dirname(missing);
  try {
    nodeFs.mkdirSync(missing);
    nodeFs.rmdirSync(missing);
    return error;
  } catch (reason) {
    return reason;
  }
}
