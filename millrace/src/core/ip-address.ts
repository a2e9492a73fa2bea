/**
 * Addresses of machines, and which of them are public: reachable on the internet, and nobody's own network, machine, or metadata service.
 *
 * Source: the IANA special-purpose address registries (RFC 6890 and those it lists), RFC 4291, RFC 6052 (NAT64), RFC 3056 (6to4).
 */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/** Whether it is the text of an IPv4 or IPv6 address, without brackets. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0;
}

const PRIVATE_4 = blockList('ipv4', [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]);

/** Of what is global unicast. */
const PRIVATE_6 = blockList('ipv6', [
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '2620:4f:8000::/48',
  '3fff::/20',
]);
const GLOBAL_6 = blockList('ipv6', ['2000::/3']);
/** An IPv4 address is behind it. */
const TRANSLATED_6 = blockList('ipv6', ['64:ff9b::/96']);

/** False for what is no address. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !PRIVATE_4.check(address, 'ipv4');
  // A zone names an interface: what has one is of this link.
  if (!isIPv6(address) || address.includes('%')) return false;
  if (TRANSLATED_6.check(address, 'ipv6')) return isPublicAddress(lastOf(address));
  return GLOBAL_6.check(address, 'ipv6') && !PRIVATE_6.check(address, 'ipv6');
}

/** The IPv4 address in the last four bytes. */
function lastOf(address: string): string {
  const [, high = '0', low = '0'] = /([0-9a-f]*):([0-9a-f]*)$/.exec(normal(address)) ?? [];
  const [left, right] = [Number.parseInt(high || '0', 16), Number.parseInt(low || '0', 16)];
  return [left >> 8, left & 255, right >> 8, right & 255].join('.');
}

/** In hexadecimal throughout, as URLs have them. */
function normal(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

function blockList(family: 'ipv4' | 'ipv6', subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network = '', bits] = subnet.split('/');
    list.addSubnet(network, Number(bits), family);
  }
  return list;
}
