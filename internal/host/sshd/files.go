package sshd

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Files describes a configuration on the disk, with the files it includes.
type Files struct {
	Sum     string // changes when a file's content does, or when files are added or removed
	Matches bool   // there are Match blocks: settings differ from login to login
	Address bool   // some of them look at where a connection comes from or arrives
}

// ReadFiles reads a configuration. It reads some files and starts no process. A file that cannot be read is recorded as
// unreadable.
func ReadFiles(config string) Files {
	var files Files
	sum := sha256.New()
	files.read(config, 0, func(path string, text []byte, err error) {
		fmt.Fprintf(sum, "%q %d %v\n", path, len(text), err)
		sum.Write(text)
	})
	files.Sum = hex.EncodeToString(sum.Sum(nil))
	return files
}

func (f *Files) read(path string, depth int, visit func(path string, text []byte, err error)) {
	text, err := os.ReadFile(path)
	visit(path, text, err)
	for line := range strings.Lines(string(text)) {
		keyword, value := splitDirective(line)
		switch strings.ToLower(keyword) {
		case "match":
			f.Matches = true
			f.Address = f.Address || looksAtAddress(value)
		case "include":
			if depth >= maxIncludes {
				continue
			}
			for _, file := range includedFiles(value) {
				f.read(file, depth+1, visit)
			}
		}
	}
}

// includedFiles returns the files that an Include directive names by its patterns.
func includedFiles(patterns string) []string {
	var files []string
	for _, pattern := range splitWords(patterns) {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join("/etc/ssh", pattern) // as sshd does, wherever the file is
		}
		found, _ := filepath.Glob(pattern)
		files = append(files, found...)
	}
	return files
}

// looksAtAddress reports whether a Match block's criteria are about addresses, ports or routing domains.
func looksAtAddress(criteria string) bool {
	for i, word := range splitWords(strings.ReplaceAll(criteria, "=", " ")) {
		switch strings.ToLower(word) {
		case "address", "host", "localaddress", "localport", "rdomain":
			if i%2 == 0 {
				return true
			}
		}
	}
	return false
}
