import { createRequire } from "node:module";
import { Command, CommanderError, Option } from "commander";
import type { ExitCode, Io } from "./io.js";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** Runs one command line and returns the exit code; never exits the process itself. */
export async function run(argv: readonly string[], io: Io): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const program = createProgram(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (cause) {
    if (cause instanceof CommanderError) return cause.exitCode === 0 ? 0 : 2;
    throw cause;
  }
}

const manifestOption = () => new Option("-f, --file <file>", "a PushGateway manifest (YAML)").makeOptionMandatory();
const outputOption = () => new Option("-o, --output <format>", "how to print").choices(["text", "json"]).default("text");
const secretOption = () => new Option("--jwt-secret <secret>", "HS256 secret").default("dev-secret");
const secretFileOption = () => new Option("--jwt-secret-file <file>", "read the secret from a file instead");
const exitCodes = "\nExit: 0 done, or stopped by a signal; 1 it failed while it ran; 2 wrong arguments or input, nothing was done.";

/** Commands are loaded when they are run: `pushfleet token` needs no gateway. */
function createProgram(io: Io, done: (code: ExitCode) => void): Command {
  const program = new Command("pushfleet");
  program
    .description("WebSocket fleets that scale and drain without anybody noticing")
    .version(version)
    .configureOutput({ writeOut: io.out, writeErr: io.error })
    .showHelpAfterError("(pushfleet --help lists the commands)")
    .exitOverride();

  program
    .command("local")
    .description("run a whole fleet on this machine: operator loop, gateways, a router, a balancer")
    .addOption(manifestOption())
    .addOption(secretOption())
    .addOption(secretFileOption())
    .addOption(new Option("--quiet", "no live line every second"))
    .addOption(outputOption())
    .action(async (options) => done(await (await import("./commands/local.js")).local(options, io)));

  program
    .command("listen")
    .description("connect as a client, print each frame, acknowledge notifications")
    .requiredOption("--token <jwt>", "as printed by pushfleet token")
    .option("--url <url>", "where clients connect", "ws://127.0.0.1:8080/connect")
    .option("--device <id>", "what this client calls itself (default: a random id)")
    .option("--last-seen <cursor>", "ask for what came after this")
    .option("--no-ack", "do not acknowledge")
    .addOption(outputOption())
    .action(async (options) => done(await (await import("./commands/listen.js")).listen(options, io)));

  program
    .command("token")
    .description("print a token for a user")
    .argument("<user>", "user id, the token's sub")
    .option("--device <id>", "put a device id into the token, as its device claim")
    .option("--ttl <seconds>", "how long it is good for", "3600")
    .addOption(secretOption())
    .addOption(secretFileOption())
    .addOption(outputOption())
    .action(async (user: string, options) => done(await (await import("./commands/token.js")).token(user, options, io)));

  program
    .command("validate")
    .description("check a PushGateway manifest; every fault with its path and what would be right")
    .addOption(manifestOption())
    .addOption(outputOption())
    .action(async (options) => done(await (await import("./commands/validate.js")).validate(options, io)));

  program
    .command("storm")
    .description("the demonstration under load: clients, notifications, scale-up, a drain, and a report of what was lost")
    .addOption(manifestOption())
    .option("--clients <n>", "client connections to open", "2000")
    .addOption(secretOption())
    .addOption(outputOption())
    .action(async (options) => done(await (await import("./commands/storm.js")).storm(options, io)));

  for (const command of program.commands)
    command.exitOverride().configureOutput({ writeOut: io.out, writeErr: io.error }).addHelpText("after", exitCodes);
  return program;
}
