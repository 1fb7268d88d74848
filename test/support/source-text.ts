/** A source file with parts of it blanked out: positions and line breaks stay, so a match still tells its line. */
export interface SourceText {
  /** Comments are spaces. */
  readonly withoutComments: string;
  /** Comments, and the contents of strings, templates and regular expressions, are spaces; code inside `${…}` stays. */
  readonly codeOnly: string;
}

/** Splits TypeScript or JavaScript into code, comments and literals. Not a parser: enough to keep a rule about code from reading prose. */
export function readSource(text: string): SourceText {
  // UTF-16 units, as positions are: spreading a string would give one element for an emoji that has two.
  const withoutComments = text.split("");
  const codeOnly = text.split("");
  const blank = (target: string[], from: number, to: number): void => {
    for (let i = from; i < to; i++) if (text[i] !== "\n") target[i] = " ";
  };
  const literal = (from: number, to: number): void => blank(codeOnly, from, to);
  /** Depth of braces at which each `${` that is open ends. */
  const templates: number[] = [];
  let depth = 0;
  let position = 0;
  while (position < text.length) {
    const [one = "", two = ""] = [text[position], text[position + 1]];
    if (one === "/" && (two === "/" || two === "*")) {
      const end = two === "/" ? endOf(text, "\n", position, 0) : endOf(text, "*/", position + 2, 2);
      blank(withoutComments, position, end);
      blank(codeOnly, position, end);
      position = end;
    } else if (one === '"' || one === "'" || (one === "/" && startsRegExp(text, position))) {
      const end = one === "/" ? endOfRegExp(text, position) : endOfString(text, position, one);
      literal(position + 1, end - 1);
      position = end;
    } else if (one === "`" || (one === "}" && templates.at(-1) === depth)) {
      if (one === "}") templates.pop();
      const end = endOfTemplatePart(text, position + 1);
      literal(position + 1, end.position);
      if (end.opens) templates.push(depth);
      position = end.position + (end.opens ? 2 : 1);
    } else {
      if (one === "{") depth++;
      if (one === "}") depth--;
      position++;
    }
  }
  return { withoutComments: withoutComments.join(""), codeOnly: codeOnly.join("") };
}

function endOf(text: string, what: string, from: number, length: number): number {
  const found = text.indexOf(what, from);
  return found === -1 ? text.length : found + length;
}

function endOfString(text: string, from: number, quote: string): number {
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === quote) return i + 1;
    else if (text[i] === "\n") return i;
  }
  return text.length;
}

function endOfTemplatePart(text: string, from: number): { readonly position: number; readonly opens: boolean } {
  for (let i = from; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "`") return { position: i, opens: false };
    else if (text[i] === "$" && text[i + 1] === "{") return { position: i, opens: true };
  }
  return { position: text.length, opens: false };
}

/** A slash divides after a value and begins a regular expression anywhere else. */
function startsRegExp(text: string, position: number): boolean {
  const before = text.slice(Math.max(0, position - 200), position).trimEnd();
  return before === "" || /(?:[=([{},;:!&|?+\-*%<>~^]|\b(?:return|case|typeof|in|of|void|do|else))$/.test(before);
}

function endOfRegExp(text: string, from: number): number {
  let inClass = false;
  for (let i = from + 1; i < text.length && text[i] !== "\n"; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "[") inClass = true;
    else if (text[i] === "]") inClass = false;
    else if (text[i] === "/" && !inClass) return i + 1;
  }
  return from + 1;
}
