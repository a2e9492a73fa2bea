/**
 * The machine as Millrace sees it: files, clock, timers, random numbers and sockets. Everything outside
 * `core/` reaches the operating system through an `Env`, so that a test can run a whole Millrace on a
 * simulated machine that loses power, tears writes and fails fsync from a seed.
 *
 * Two implementations pass one contract suite: `real-env.ts` and `sim/sim-machine.ts`.
 */

export interface Env {
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly net: Net;
}

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump. Use it only for timestamps that people see. */
  nowMs(): number;
  /** Milliseconds (with fractions) since some fixed point. Never goes back. Use it for every wait and lease. */
  monotonicMs(): number;
}

export interface Timer {
  /** Idempotent. After it returns the callback does not run. */
  cancel(): void;
}

export interface Timers {
  /** Runs `callback` once, no sooner than `delayMs` (0 to 2^31-1) from now. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
  /** Resolves after `delayMs`; rejects with ML_ABORTED when `signal` fires first, or has. Keeps the process alive. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Runs `callback` after the I/O events that are waiting now (setImmediate). */
  immediate(callback: () => void): void;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** `count` unpredictable bytes (predictable from the seed on a simulated machine). */
  bytes(count: number): Buffer;
  /** A version 4 UUID, lower case, with hyphens. */
  uuid(): string;
}

/** How a file is opened: `read` an existing one; `write` (read and write) an existing one; `create` (read and
 * write) one that must not exist, for the user and group only; `publish` as `create`, for everybody whom the umask does not
 * exclude (outputs); `open` (read and write), created when absent. */
export type OpenMode = 'read' | 'write' | 'create' | 'publish' | 'open';

/**
 * A file. Synchronous calls are for work that only touches the page cache or small metadata; whatever waits for
 * the device (sync, cold reads, bulk writes) is a promise and runs beside the event loop.
 *
 * `write`, `writeMany` and `read` are ONE system call each and may do less than asked: use `writeFully`,
 * `writeManyFully`, `readFully` of `core/files.ts`.
 *
 * @throws {MillraceError} ML_DISK_FULL (retriable), ML_IO, ML_FILE_NOT_FOUND, ML_FILE_EXISTS, ML_FILE_CLOSED
 */
export interface File {
  readonly path: string;
  /** Current size in bytes. */
  size(): number;
  /** pwrite of buffer[start, end) at `position`. Returns the bytes written: at least 1 unless start equals end. */
  write(buffer: Uint8Array, start: number, end: number, position: number): number;
  /** pwritev of at most 1,024 buffers at `position`. Returns the bytes written. */
  writeMany(buffers: readonly Uint8Array[], position: number): number;
  /** As `writeMany`, beside the event loop. The buffers must not change before it settles. */
  writeManyAsync(buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** pread into buffer[start, end) from `position`. Returns the bytes read; 0 at the end of the file. */
  read(buffer: Uint8Array, start: number, end: number, position: number): number;
  /** As `read`, beside the event loop. */
  readAsync(buffer: Uint8Array, start: number, end: number, position: number): Promise<number>;
  /** Cuts, or extends with zeros, to `sizeBytes`. */
  truncate(sizeBytes: number): void;
  /** fdatasync: resolves when the data, and the size, survive a power cut. After a failure the caller must never
   * call it again on this file and believe it (the kernel marks the pages clean): code ML_FSYNC_FAILED. */
  sync(): Promise<void>;
  /** Idempotent. Does not sync. */
  close(): void;
}

export interface FileStat {
  readonly kind: 'file' | 'directory';
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Two paths with the same device and inode lead to the same thing, as long as it exists. */
  readonly device: number;
  readonly inode: number;
  /** A device, a pipe or a socket. Its kind is `file` all the same. */
  readonly isSpecial?: boolean;
}

/** Held until `release` or the end of the process, however it ends. */
export interface DirectoryLock {
  release(): void;
}

/** Paths are absolute, joined with '/'. A new name (create, rename, mkdir, symlink, remove) survives a power cut only after
 * `syncDirectory` of the directory that holds it. Symbolic links are followed everywhere in a path, at its end by all calls
 * but `rename`, `remove`, `removeDirectory`, `symlink` and `readLink`: those mean the link. */
export interface FileSystem {
  /** Files and connections that this process may have open at the same time; Infinity when that is not known. */
  readonly descriptorsMax: number;
  open(path: string, mode: OpenMode): File;
  /** undefined when there is nothing at the path, or a link that leads nowhere. */
  stat(path: string): FileStat | undefined;
  /** Names in a directory, sorted; empty when the directory does not exist. */
  list(path: string): string[];
  /** Creates the directory and its missing parents, for the user and group only. */
  makeDirectory(path: string): void;
  /** The same for everybody whom the umask does not exclude: a place for outputs. */
  publishDirectory(path: string): void;
  /** Atomic; replaces an existing target file, link or empty directory; a directory replaces no file or link, nor they it. */
  rename(from: string, to: string): void;
  /** Makes a symbolic link. `target` need not exist; a relative one starts from the directory that holds the link.
   * @throws {MillraceError} ML_FILE_EXISTS when there is anything at `path` */
  symlink(target: string, path: string): void;
  /** What the link at `path` says; undefined when nothing is there, or something that is no link. */
  readLink(path: string): string | undefined;
  /** The absolute path of the same thing without links in it. @throws {MillraceError} ML_FILE_NOT_FOUND */
  realPath(path: string): string;
  /** Removes a file or link, beside the event loop; no error when it does not exist. */
  remove(path: string): Promise<void>;
  /** Removes a directory and all in it (links, not what they lead to); no error when it does not exist. */
  removeDirectory(path: string): Promise<void>;
  /** Removes a directory that holds nothing; no error when it does not exist, or holds something. */
  removeIfEmpty(path: string): Promise<void>;
  /** fsync of a directory: its names survive a power cut. Code ML_FSYNC_FAILED as for files. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that can still be written on the device of `path`. */
  freeBytes(path: string): Promise<number>;
  /**
   * One process per directory. The holder is described in `<path>/lock.json` for the error message.
   * @throws {MillraceError} ML_DIR_LOCKED, naming the holder's process id, host and start time
   */
  lock(path: string): DirectoryLock;
}

/** What a server side or client side does with the events of a connection. */
export interface ConnectionHandlers {
  /** The memory of `chunk` is valid only until the call returns: copy what must stay. */
  data(chunk: Buffer): void;
  /** `bufferedBytes` fell back to 0 after a `write` had left it above. */
  drained(): void;
  /** The other side will send no more, but still reads. Without this handler the connection is ended then. */
  ended?(): void;
  /** Exactly once, last. `error` (ML_CONNECTION_LOST) is set when the end was not orderly. */
  closed(error?: Error): void;
}

export interface Connection {
  /** The address of this machine that the other side reached. */
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Bytes given to `write` that the operating system has not taken yet. */
  readonly bufferedBytes: number;
  /** Starts delivery; called exactly once. */
  start(handlers: ConnectionHandlers): void;
  /** Queues the chunks in order, as one write where the system can. `done` runs, never before `write` returns, when
   * they have been handed to the operating system or will never be: the memory may be reused from then on. After
   * `end`, `destroy` or the loss of the connection nothing is sent. */
  write(chunks: readonly Uint8Array[], done?: () => void): void;
  /** Stops, or resumes, delivery of `data`. */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes now, dropping what is queued. Idempotent. */
  destroy(): void;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 lets the system choose; `Listener.port` tells. */
  readonly port: number;
  /** A connection could not be accepted, for lack of file descriptors as a rule; the listener goes on. */
  readonly onAcceptError?: (error: Error) => void;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Stops accepting; connections that are open stay. */
  close(): Promise<void>;
}

export interface DatagramOptions {
  readonly host: string;
  /** 0 lets the system choose; `DatagramSocket.port` tells. */
  readonly port: number;
  /** What the system is asked to keep for datagrams that were not handed on yet. It may keep less: see `receiveBytes`. Default: the system's. */
  readonly receiveBytes?: number;
  /** The system could not hand on, or send, a datagram; the socket goes on. */
  readonly onError?: (error: Error) => void;
}

/** Nothing says that a datagram arrives, or arrives once, or in order. */
export interface DatagramSocket {
  readonly host: string;
  readonly port: number;
  /** What the system keeps for datagrams that were not handed on. */
  readonly receiveBytes: number;
  /** Datagrams that the system had no room for, since the socket was made; undefined where it does not tell. */
  lost(): number | undefined;
  send(datagram: Uint8Array, to: { readonly host: string; readonly port: number }): void;
  /** After it returns no datagram is handed on. Idempotent. */
  close(): Promise<void>;
}

export interface Net {
  /** @throws {MillraceError} ML_ADDRESS_IN_USE, ML_ADDRESS_UNAVAILABLE, ML_PERMISSION */
  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<Listener>;
  /** Gives up after CONNECT_TIMEOUT_MS. @throws {MillraceError} ML_CONNECT_FAILED */
  connect(options: { readonly host: string; readonly port: number }): Promise<Connection>;
  /**
   * Datagrams, of UDP.
   * @param onDatagram its memory is valid only until the call returns
   * @throws {MillraceError} ML_ADDRESS_IN_USE, ML_ADDRESS_UNAVAILABLE, ML_PERMISSION
   */
  datagrams(
    options: DatagramOptions,
    onDatagram: (datagram: Buffer) => void,
  ): Promise<DatagramSocket>;
}
