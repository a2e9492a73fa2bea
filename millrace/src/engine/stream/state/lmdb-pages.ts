/**
 * A look at a file of LMDB before LMDB maps it into memory: what it would read beyond the end of a file that was cut ends the process.
 *
 * The newest of the two meta pages says which page is the last one. A file may be shorter than that, rightly: pages that were used and freed
 * again in one transaction are not written. So only then the trees are walked, to see whether they need a page that is not there.
 * Source: `mdb.c` of LMDB as it is inside lmdb-js (page headers of 24 bytes), structs MDB_page_header, MDB_meta, MDB_db, MDB_node.
 */

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const HEADER_BYTES = 24;
/** Behind magic, version, address and size of the map: two descriptions of trees, that of what is free and that of the rows. */
const TREES_AT = HEADER_BYTES + 24;
const TREE_BYTES = 48;
const ROOT_AT = 40;
const LAST_PAGE_AT = TREES_AT + 2 * TREE_BYTES;
const META_BYTES = LAST_PAGE_AT + 16;
const NO_PAGE = 2 ** 64;

const FLAGS_AT = 18;
/** Of a branch or a leaf the end of its list of nodes, counted from behind the header; of other pages how many they are. */
const LOWER_AT = 20;
const IS_BRANCH = 0x01;
const IS_LEAF = 0x02;
const IS_OVERFLOW = 0x04;
const NODE_BYTES = 8;
const NODE_IS_BIG = 0x01;

/** Bytes from `at` on; undefined where the file ends before. */
export type ReadAt = (at: number, bytes: number) => Buffer | undefined;

/** What is wrong with the file, to be said behind its name; undefined: nothing that can be seen. */
export function whatIsWrong(read: ReadAt, fileBytes: number): string | undefined {
  const first = read(0, META_BYTES);
  if (first === undefined) return 'is too short';
  if (!isMeta(first)) return 'does not begin as it should';
  const pageBytes = first.readUInt32LE(TREES_AT);
  if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0)
    return 'has an impossible size of pages';
  const second = read(pageBytes, META_BYTES);
  if (second === undefined) return 'is too short';
  if (!isMeta(second)) return 'has a second page that is not as it should be';
  const isFirst = numberAt(first, LAST_PAGE_AT + 8) > numberAt(second, LAST_PAGE_AT + 8);
  const newest = isFirst ? first : second;
  if ((numberAt(newest, LAST_PAGE_AT) + 1) * pageBytes <= fileBytes) return undefined;
  const roots = [TREES_AT, TREES_AT + TREE_BYTES].map((at) => numberAt(newest, at + ROOT_AT));
  return roots.every((root) => root >= NO_PAGE || isWhole(read, pageBytes, root))
    ? undefined
    : `ends at ${fileBytes} bytes, and lacks some that it needs`;
}

function isMeta(page: Buffer): boolean {
  return (
    page.readUInt32LE(HEADER_BYTES) === MAGIC &&
    (page.readUInt32LE(HEADER_BYTES + 4) & 0xffff) === DATA_VERSION
  );
}

/** Whether all pages of a tree are there, and are what they should be. */
function isWhole(read: ReadAt, pageBytes: number, root: number): boolean {
  const waiting = [root];
  for (let number = waiting.pop(); number !== undefined; number = waiting.pop()) {
    const page = read(number * pageBytes, pageBytes);
    if (page === undefined || numberAt(page, 0) !== number) return false;
    const flags = page.readUInt16LE(FLAGS_AT);
    if ((flags & (IS_BRANCH | IS_LEAF)) === 0) return false;
    for (const node of nodesOf(page)) {
      if ((flags & IS_BRANCH) !== 0) waiting.push(childOf(page, node));
      else if ((page.readUInt16LE(node + 4) & NODE_IS_BIG) !== 0) {
        const value = node + NODE_BYTES + page.readUInt16LE(node + 6);
        if (value + 8 > pageBytes) return false;
        if (!isLongWhole(read, pageBytes, numberAt(page, value))) return false;
      }
    }
  }
  return true;
}

/** A value that has pages of its own. */
function isLongWhole(read: ReadAt, pageBytes: number, number: number): boolean {
  const header = read(number * pageBytes, HEADER_BYTES);
  if (header === undefined || numberAt(header, 0) !== number) return false;
  if ((header.readUInt16LE(FLAGS_AT) & IS_OVERFLOW) === 0) return false;
  const end = (number + header.readUInt32LE(LOWER_AT)) * pageBytes;
  return read(end - 1, 1) !== undefined;
}

/** Where the nodes of a page begin; those that cannot be are left out. */
function nodesOf(page: Buffer): number[] {
  const count = page.readUInt16LE(LOWER_AT) >> 1;
  const nodes: number[] = [];
  for (let index = 0; index < count && HEADER_BYTES + 2 * index + 2 <= page.length; index++) {
    const node = page.readUInt16LE(HEADER_BYTES + 2 * index) + HEADER_BYTES;
    if (node + NODE_BYTES <= page.length) nodes.push(node);
  }
  return nodes;
}

/** A number of 48 bits, in three parts. */
function childOf(page: Buffer, node: number): number {
  return (
    page.readUInt16LE(node) +
    page.readUInt16LE(node + 2) * 2 ** 16 +
    page.readUInt16LE(node + 4) * 2 ** 32
  );
}

function numberAt(page: Buffer, at: number): number {
  return page.readUInt32LE(at) + page.readUInt32LE(at + 4) * 2 ** 32;
}
