/** The little of DNS (RFC 1035) that a cluster's names need: one question, A records, "no such name". */
export interface Question {
  readonly id: number;
  /** Lower case, without the last dot. */
  readonly name: string;
  readonly type: number;
  /** Whether the asker wants recursion; comes back in the answer. */
  readonly recursion: boolean;
  /** The longest answer the asker takes: 512, or what its OPT record says (RFC 6891). */
  readonly bytesMax: number;
  /** The question as it came, from behind the header. */
  readonly section: Buffer;
}

export const typeA = 1;
const typeOpt = 41;
const HEADER_BYTES = 12;
const A_RECORD_BYTES = 16;
const BYTES_DEFAULT = 512;

/** Undefined for what is no query with one question. */
export function parseQuestion(message: Buffer): Question | undefined {
  if (message.length < HEADER_BYTES + 5 || message.readUInt16BE(4) !== 1 || (message.readUInt8(2) & 0xf8) !== 0) return undefined;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = message[at]; length !== 0; length = message[at]) {
    if (length === undefined || length > 63 || at + 1 + length >= message.length) return undefined;
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const end = at + 5;
  if (end > message.length) return undefined;
  return {
    id: message.readUInt16BE(0),
    name: labels.join(".").toLowerCase(),
    type: message.readUInt16BE(at + 1),
    recursion: (message.readUInt8(2) & 1) === 1,
    bytesMax: optBytes(message, end),
    section: message.subarray(HEADER_BYTES, end),
  };
}

/** An OPT record behind the question: root name, type, and the size where others have their class. */
function optBytes(message: Buffer, at: number): number {
  const isOpt = message.length >= at + 5 && message[at] === 0 && message.readUInt16BE(at + 1) === typeOpt;
  return isOpt ? Math.max(BYTES_DEFAULT, message.readUInt16BE(at + 3)) : BYTES_DEFAULT;
}

/** `addresses` undefined: there is no such name (NXDOMAIN). As many addresses as the asker takes; time to live 0: nobody keeps them. */
export function buildAnswer(question: Question, addresses: readonly string[] | undefined): Buffer {
  const room = Math.floor((question.bytesMax - HEADER_BYTES - question.section.length) / A_RECORD_BYTES);
  const answers = (question.type === typeA ? (addresses ?? []) : []).slice(0, room);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(question.id, 0);
  header.writeUInt8(0x84 | (question.recursion ? 1 : 0), 2); // an answer, with authority
  header.writeUInt8(0x80 | (addresses === undefined ? 3 : 0), 3);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  return Buffer.concat([header, question.section, ...answers.map(aRecord)]);
}

function aRecord(address: string): Buffer {
  const record = Buffer.alloc(A_RECORD_BYTES);
  record.writeUInt16BE(0xc000 | HEADER_BYTES, 0); // its name is the question's
  record.writeUInt16BE(typeA, 2);
  record.writeUInt16BE(1, 4); // class IN
  record.writeUInt16BE(4, 10);
  for (const [index, byte] of address.split(".").entries()) record.writeUInt8(Number(byte), 12 + index);
  return record;
}
