package sshd

import (
	"path/filepath"
	"slices"
	"strings"
)

// Options are what an sshd is started with, as far as they decide what it makes of its configuration. They hold
// before everything that stands in a file.
type Options struct {
	Config    string   // -f; DefaultConfig if it was started without
	Arguments []string // -o, -p and the like, each as one argument, as another run of sshd takes them
}

// Sets reports whether a keyword of sshd_config(5) is set by -o.
func (o Options) Sets(keyword string) bool {
	return slices.ContainsFunc(o.Arguments, func(argument string) bool {
		directive, ok := strings.CutPrefix(argument, "-o")
		name, _ := splitDirective(directive)
		return ok && strings.EqualFold(name, keyword)
	})
}

// The flags of sshd(8), of all releases.
const (
	flagsWithValue = "CEbcfghkopu"
	flagsAlone     = "46DGQRTVdeiqrt"
	flagsKept      = "46bcghkopu" // these decide what the configuration comes to
	flagsNoDaemon  = "GQRTVit"    // who was started with one of these listens to nobody
)

// parseOptions reads the options from /proc/PID/cmdline; ok is false if that is of no daemon that listens. A daemon
// since OpenSSH 8.1 shows its arguments in its title, "sshd: /usr/sbin/sshd -D -o A B [listener] 0 of 10-100 startups",
// in which nothing tells a space within an argument from one between two: a value of -o goes on up to what can be the
// next flag.
func parseOptions(cmdline string) (Options, bool) {
	words := strings.Split(strings.TrimRight(cmdline, "\x00"), "\x00")
	title, joined := strings.CutPrefix(words[0], "sshd: ")
	if joined {
		end := strings.LastIndex(title, " [listener]")
		if end < 0 {
			return Options{}, false // of a session
		}
		words = strings.Fields(title[:end])
	}
	options, listens := readFlags(words[1:], joined)
	if !listens {
		return Options{}, false
	}
	return options, true
}

// readFlags reads what follows the program on a command line; joined says that nothing tells where its words began.
// listens is false if the flags are those of a run that listens to nobody.
func readFlags(words []string, joined bool) (options Options, listens bool) {
	options.Config, listens = DefaultConfig, true
	for rest := words; len(rest) > 0; {
		flags := strings.TrimPrefix(rest[0], "-")
		rest = rest[1:]
		for flags != "" {
			flag, value := flags[:1], ""
			flags = flags[1:]
			if strings.Contains(flagsNoDaemon, flag) {
				listens = false
			}
			if strings.Contains(flagsWithValue, flag) {
				value, rest = optionValue(flags, rest, joined && flag == "o")
				flags = ""
			}
			switch {
			case flag == "f":
				options.Config = filepath.Join("/", value) // a daemon's working directory is the root
			case strings.Contains(flagsKept, flag):
				options.Arguments = append(options.Arguments, "-"+flag+value)
			}
		}
	}
	return options, listens
}

// optionValue takes a flag's value, which begins in the flag's own word or is the next. One that was joined with
// what follows reaches up to the next flag.
func optionValue(begun string, rest []string, joined bool) (value string, after []string) {
	if begun == "" && len(rest) > 0 {
		begun, rest = rest[0], rest[1:]
	}
	for joined && len(rest) > 0 && !isFlag(rest[0]) {
		begun, rest = begun+" "+rest[0], rest[1:]
	}
	return begun, rest
}

// isFlag reports whether a word can be flags of sshd: any without a value, and at last one with.
func isFlag(word string) bool {
	flags, ok := strings.CutPrefix(word, "-")
	if !ok || flags == "" {
		return false
	}
	for _, flag := range flags {
		if strings.ContainsRune(flagsWithValue, flag) {
			return true
		}
		if !strings.ContainsRune(flagsAlone, flag) {
			return false
		}
	}
	return true
}
