package sshd

import (
	"path/filepath"
	"slices"
	"strings"
)

// Options are the options of an sshd's command line that affect its configuration. They take precedence over every
// file.
type Options struct {
	Config    string   // of -f; DefaultConfig without it
	Arguments []string // -o, -p and similar ones, each as one argument, fit for another run of sshd
}

// Sets reports whether -o sets the keyword of sshd_config(5).
func (o Options) Sets(keyword string) bool {
	return slices.ContainsFunc(o.Arguments, func(argument string) bool {
		directive, ok := strings.CutPrefix(argument, "-o")
		name, _ := splitDirective(directive)
		return ok && strings.EqualFold(name, keyword)
	})
}

// The flags of sshd(8), of all its releases.
const (
	flagsWithValue = "CEbcfghkopu"
	flagsAlone     = "46DGQRTVdeiqrt"
	flagsKept      = "46bcghkopu" // these affect the configuration
	flagsNoDaemon  = "GQRTVit"    // an sshd started with one of these does not listen
)

// parseOptions reads the options from /proc/PID/cmdline; ok is false unless it is that of a daemon that listens. Since
// OpenSSH 8.1 a daemon shows its arguments in its title, "sshd: /usr/sbin/sshd -D -o A B [listener] 0 of 10-100
// startups", where a space within an argument looks like one between two. A value of -o is therefore read up to the
// next word that can be a flag.
func parseOptions(cmdline string) (Options, bool) {
	words := strings.Split(strings.TrimRight(cmdline, "\x00"), "\x00")
	title, joined := strings.CutPrefix(words[0], "sshd: ")
	if joined {
		end := strings.LastIndex(title, " [listener]")
		if end < 0 {
			return Options{}, false // the title of a session
		}
		words = strings.Fields(title[:end])
	}
	options, listens := readFlags(words[1:], joined)
	if !listens {
		return Options{}, false
	}
	return options, true
}

// readFlags reads the words after the program on a command line. joined says that an argument with spaces has become
// several words. listens is false if the flags are those of an sshd that does not listen.
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

// optionValue returns a flag's value, which is the rest of the flag's own word or the next word. If the words are
// joined, the value extends up to the next flag.
func optionValue(begun string, rest []string, joined bool) (value string, after []string) {
	if begun == "" && len(rest) > 0 {
		begun, rest = rest[0], rest[1:]
	}
	for joined && len(rest) > 0 && !isFlag(rest[0]) {
		begun, rest = begun+" "+rest[0], rest[1:]
	}
	return begun, rest
}

// isFlag reports whether a word can be flags of sshd: any number without a value, then at most one with a value.
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
