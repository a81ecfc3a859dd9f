package sshd

import (
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

// KeysCommand is the command that sshd runs to learn who may log in.
type KeysCommand struct {
	Command string // AuthorizedKeysCommand with its arguments, as in sshd_config(5)
	User    string // AuthorizedKeysCommandUser
}

// PrincipalsCommand returns the AuthorizedPrincipalsCommand and its user; the zero KeysCommand if there is none.
func (s Settings) PrincipalsCommand() KeysCommand {
	command := KeysCommand{Command: s.Get("authorizedprincipalscommand"), User: s.Get("authorizedprincipalscommanduser")}
	if command.Command == "" {
		return KeysCommand{}
	}
	return command
}

// KeysCommand returns the AuthorizedKeysCommand and its user; the zero KeysCommand if there is none.
func (s Settings) KeysCommand() KeysCommand {
	command := KeysCommand{Command: s.Get("authorizedkeyscommand"), User: s.Get("authorizedkeyscommanduser")}
	if command.Command == "" {
		return KeysCommand{}
	}
	return command
}

// Chain returns the command that asks ours first and then the existing one, and runs as the existing one's user. Ours
// ends in the user and fingerprint tokens. The existing command follows after "--" with its arguments untouched, as
// sshd itself splits and expands the line. An existing command without arguments is given the user name, as sshd would
// have done. The error says why the existing command cannot be kept.
func Chain(ours string, existing KeysCommand) (string, error) {
	if existing.Command == "" {
		return ours, nil
	}
	program, arguments := splitProgram(existing.Command)
	if err := CheckSafePath(program); err != nil {
		return "", fault.Wrap(err, fault.WrongState, fault.Sshd,
			"sshd has an AuthorizedKeysCommand already (%s) that cannot be kept: %s", existing.Command, fault.Explain(err))
	}
	if strings.Contains(existing.User, "%") {
		return "", fault.New(fault.Unsupported, fault.Sshd,
			"sshd runs its AuthorizedKeysCommand as %s, a different user for each login, and the agent admits one. "+
				"Set AuthorizedKeysCommandUser to one user.", existing.User)
	}
	if arguments == "" {
		arguments = "%u"
	}
	return ours + " -- " + program + " " + arguments, nil
}

// splitProgram splits the command after its first word. A quoted first word needs no care: CheckSafePath refuses any
// path that needs quotes.
func splitProgram(command string) (program, arguments string) {
	command = strings.TrimSpace(command)
	end := strings.IndexAny(command, " \t")
	if end < 0 {
		return command, ""
	}
	return command[:end], strings.TrimSpace(command[end:])
}

// Matched is a command for the logins of a Match block.
type Matched struct {
	Match string // a Match block's criteria
	KeysCommand
	Principals KeysCommand // of the same block, to be repeated
}

// DropIn returns the text that sets the command, and those of the Match blocks that have a command of their own. sshd
// must read it before these blocks. OpenSSH before 9.4 ignores an AuthorizedPrincipalsCommand that comes after an
// AuthorizedKeysCommand (its bug 3574), so the text repeats the principals' command first.
func (k KeysCommand) DropIn(principals KeysCommand, matched []Matched) string {
	var text strings.Builder
	text.WriteString(Mark + "\n" + principals.lines("", principalsAgain, "AuthorizedPrincipalsCommand"))
	text.WriteString(k.lines("", "", "AuthorizedKeysCommand"))
	for _, m := range matched {
		text.WriteString("Match " + m.Match + "\n" + m.Principals.lines("\t", "", "AuthorizedPrincipalsCommand"))
		text.WriteString(m.lines("\t", "", "AuthorizedKeysCommand"))
	}
	return text.String()
}

// principalsAgain tells a person who edits the original line why that has no effect.
const principalsAgain = "# As it stands elsewhere in the configuration, " +
	"where this OpenSSH passes over it: change both.\n"

func (k KeysCommand) lines(indent, comment, keyword string) string {
	if k.Command == "" {
		return ""
	}
	text := comment + indent + keyword + " " + k.Command + "\n"
	if k.User != "" {
		text += indent + keyword + "User " + k.User + "\n"
	}
	return text
}

// Mark is the first line of everything that enrollment writes into sshd's configuration.
const Mark = "# Written by sallyport-host enroll. Remove it with: sallyport-host unenroll"

// IncludeBlock returns the block that makes a configuration read the drop-in before anything else: the first value
// wins.
func IncludeBlock(dropIn string) string {
	return Mark + "\nInclude " + dropIn + "\n"
}
