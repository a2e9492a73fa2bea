/**
 * What the machine itself can do, measured in the same run, so that the brokers' figures can be read against it.
 */
import { fork } from 'node:child_process';
import { closeSync, fdatasyncSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomBytes } from './clients/wire-load.ts';
import { track, watchCores } from './process.ts';
import { median, percentile } from './statistics.ts';

export interface MachineLimits {
  /** Writing one file in sequence and syncing it once, MB/s. */
  readonly sequentialWriteMBs: number;
  /** The same bytes into the page cache only, MB/s. */
  readonly pageCacheWriteMBs: number;
  /** Overwriting 16 KiB of a preallocated file and fdatasync, milliseconds. */
  readonly syncP50Ms: number;
  readonly syncP99Ms: number;
  /** One TCP connection over loopback between two processes of Node, MB/s. */
  readonly loopbackMBs: number;
  /** Cores that others kept busy during the probes. */
  readonly othersCores: number;
}

const MEGA = 1e6;
const CHUNK_BYTES = 1 << 20;
const OVERWRITE_BYTES = 16 * 1024;
const OVERWRITE_FILE_BYTES = 64 << 20;

export interface ProbeOptions {
  /** A folder on the device where the brokers keep their data. */
  readonly folder: string;
  readonly writeBytes: number;
  readonly syncCount: number;
  readonly loopbackMs: number;
}

export async function probeMachine(options: ProbeOptions): Promise<MachineLimits> {
  const cores = watchCores();
  const write = probeWrite(join(options.folder, 'probe-write'), options.writeBytes);
  const syncs = probeSync(join(options.folder, 'probe-sync'), options.syncCount);
  const loopbackMBs = await probeLoopback(options.loopbackMs);
  return {
    ...write,
    syncP50Ms: median(syncs),
    syncP99Ms: percentile(syncs, 0.99),
    loopbackMBs,
    othersCores: cores().others,
  };
}

function probeWrite(
  file: string,
  bytes: number,
): { readonly sequentialWriteMBs: number; readonly pageCacheWriteMBs: number } {
  const chunk = randomBytes(1, CHUNK_BYTES);
  const descriptor = openSync(file, 'w');
  try {
    const startedMs = performance.now();
    for (let written = 0; written < bytes; written += chunk.length) writeSync(descriptor, chunk);
    const cachedMs = performance.now() - startedMs;
    fdatasyncSync(descriptor);
    const syncedMs = performance.now() - startedMs;
    return {
      pageCacheWriteMBs: bytes / MEGA / (cachedMs / 1000),
      sequentialWriteMBs: bytes / MEGA / (syncedMs / 1000),
    };
  } finally {
    closeSync(descriptor);
    unlinkSync(file);
  }
}

/** Time of each overwrite with its fdatasync, milliseconds. */
function probeSync(file: string, count: number): number[] {
  const block = randomBytes(2, OVERWRITE_BYTES);
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const descriptor = openSync(file, 'w');
  try {
    ftruncateSync(descriptor, OVERWRITE_FILE_BYTES);
    for (let at = 0; at < OVERWRITE_FILE_BYTES; at += chunk.length) {
      writeSync(descriptor, chunk, 0, chunk.length, at);
    }
    fdatasyncSync(descriptor);
    return Array.from({ length: count }, (_, index) => {
      const startedMs = performance.now();
      const position = (index * OVERWRITE_BYTES) % OVERWRITE_FILE_BYTES;
      writeSync(descriptor, block, 0, block.length, position);
      fdatasyncSync(descriptor);
      return performance.now() - startedMs;
    });
  } finally {
    closeSync(descriptor);
    unlinkSync(file);
  }
}

/** Counts on the sending side: what the socket has taken and a receiver in another process has drained. */
async function probeLoopback(durationMs: number): Promise<number> {
  const sink = track(fork(fileURLToPath(new URL('./loopback-sink.ts', import.meta.url))));
  try {
    const port = await new Promise<number>((resolve, reject) => {
      sink.once('message', (message) => resolve(Number(message)));
      sink.once('error', reject);
    });
    const chunk = randomBytes(3, CHUNK_BYTES);
    const startedMs = performance.now();
    const received = new Promise<number>((resolve) =>
      sink.once('message', (message) => resolve(Number(message))),
    );
    const socket = connect({ host: '127.0.0.1', port });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      const fill = (): void => {
        for (;;) {
          if (performance.now() - startedMs > durationMs) {
            socket.end(() => resolve());
            return;
          }
          if (!socket.write(chunk)) break;
        }
        socket.once('drain', fill);
      };
      socket.once('connect', fill);
    });
    const bytes = await received;
    return bytes / MEGA / ((performance.now() - startedMs) / 1000);
  } finally {
    sink.kill();
  }
}
