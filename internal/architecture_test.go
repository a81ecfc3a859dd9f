// Package internal_test checks the code against docs/ARCHITECTURE.md.
package internal_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/sallyport/sallyport/"

// mayImport lists for every room which of our rooms it may import. A room inside of another (internal/awsapi/ec2 in
// internal/awsapi) follows the longest name that fits. A room that is not listed fails the test, so that a new one has
// to say where it belongs.
var mayImport = map[string][]string{
	// leaves
	"internal/fault":      {},
	"internal/policy":     {"internal/fault"},
	"internal/sshkey":     {"internal/fault"},
	"internal/ca":         {"internal/fault", "internal/keyblob"},
	"internal/keyblob":    {"internal/fault"},
	"internal/awswire":    {"internal/fault", "internal/awswire"},
	"internal/page":       {"internal/fault"},
	"internal/uuid":       {},
	"internal/clock":      {"internal/clock"},
	"internal/durable":    {},
	"internal/daemon":     {"internal/durable"},
	"internal/awsprofile": {"internal/durable"},
	// database, record and gate
	"internal/db":    {"internal/clock", "internal/fault", "internal/testkit/prerequisite", "internal/db"},
	"internal/trail": {"internal/fault", "internal/db"},
	"internal/gate": {
		"internal/clock", "internal/fault", "internal/policy",
		"internal/uuid", "internal/db", "internal/trail", "internal/gate",
	},
	// domain
	"internal/resource": {
		"internal/clock", "internal/fault", "internal/page", "internal/policy", "internal/db", "internal/gate",
	},
	"internal/iam": {
		"internal/clock", "internal/fault", "internal/policy", "internal/db", "internal/trail", "internal/gate",
	},
	"internal/hosts": {
		"internal/clock", "internal/fault", "internal/db", "internal/trail", "internal/gate", "internal/resource",
	},
	"internal/compute": {
		"internal/clock", "internal/fault", "internal/page", "internal/db", "internal/gate", "internal/resource",
		"internal/hosts",
	},
	"internal/access": {
		"internal/clock", "internal/fault", "internal/keyblob", "internal/sshkey", "internal/db", "internal/trail",
		"internal/gate", "internal/resource", "internal/hosts", "internal/compute",
	},
	// adapters
	"internal/hostproto": {"internal/fault", "internal/keyblob"},
	"internal/hostlink": {
		"internal/clock", "internal/fault", "internal/ca", "internal/uuid", "internal/trail", "internal/gate",
		"internal/resource", "internal/hosts", "internal/access", "internal/hostproto",
	},
	// edges
	"internal/awsapi": {
		"internal/fault", "internal/page", "internal/policy", "internal/sshkey", "internal/uuid", "internal/trail",
		"internal/gate", "internal/resource", "internal/iam", "internal/hosts", "internal/compute", "internal/access",
		"internal/hostproto", "internal/awswire", "internal/awsapi",
	},
	// on the machine
	"internal/host/keys":     {"internal/host/safepath"},
	"internal/host/safepath": {},
	"internal/host": {
		"internal/clock", "internal/fault", "internal/durable", "internal/daemon", "internal/keyblob",
		"internal/sshkey", "internal/ca", "internal/hostproto", "internal/host", "internal/uuid",
	},
	// the places that know every room
	"internal/controlplane": {"internal"},
	"internal/testkit":      {"internal", "internal/uuid"},
	"cmd/sallyport":         {"internal"},
	"cmd/sallyport-host":    {"internal/daemon", "internal/fault", "internal/host"},
	"cmd/sallyport-keys":    {"internal/clock", "internal/host/keys"},
	"e2e":                   {"internal/testkit"},
	"bench":                 {"internal"},
}

// architecture returns the page that says in words what mayImport says.
func architecture(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestThePageNamesEveryRoom checks that the page's list of rooms and mayImport have the same ones.
func TestThePageNamesEveryRoom(t *testing.T) {
	var named []string
	room := regexp.MustCompile(`(?m)^ {4}( {2})?([a-z0-9/-]+)/ {2}`)
	for _, match := range room.FindAllStringSubmatch(architecture(t), -1) {
		if match[1] != "" {
			match[2] = "internal/" + match[2]
		}
		named = append(named, match[2])
	}
	slices.Sort(named)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(mayImport)), named); diff != "" {
		t.Errorf("mayImport (-) and docs/ARCHITECTURE.md (+):\n%s", diff)
	}
}

// TestEachStepIsWhereThePageSays checks that each function named in a row of the page's table is in the file that the
// row names.
func TestEachStepIsWhereThePageSays(t *testing.T) {
	steps := 0
	step := regexp.MustCompile("(?m)^\\| [^|]*\\| (`.*?`) in \\[[^]]*\\]\\(\\.\\./([^)]*)\\)")
	for _, row := range step.FindAllStringSubmatch(architecture(t), -1) {
		code, err := os.ReadFile(filepath.Join("..", row[2]))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, name := range strings.Split(row[1], ", ") {
			steps++
			name = strings.Trim(name, "`")
			if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + name + `[[(]`).Match(code) {
				t.Errorf("%s has no function %s", row[2], name)
			}
		}
	}
	if steps < 10 {
		t.Errorf("only %d steps were found", steps)
	}
}

// inner is what no room of the domain may import, directly or indirectly.
var inner = []string{module + "internal/awsapi", module + "internal/hostlink", "net/http", "github.com/aws/"}

// neverReach lists what a program or room may not import, directly or indirectly.
var neverReach = map[string][]string{
	// sshd waits for the keys helper at each login, and each package that the helper links costs time.
	"cmd/sallyport-keys": {"fmt", "net", "os/exec", "encoding/json", "crypto", "regexp", "golang.org/x/crypto"},
	"cmd/sallyport-host": {
		module + "internal/db", module + "internal/awsapi", module + "internal/gate", "database/sql", "github.com/aws/",
	},
	"internal/resource": inner,
	"internal/iam":      inner,
	"internal/hosts":    inner,
	"internal/compute":  inner,
	"internal/access":   inner,
	"internal/policy":   {"net/http", "os/exec", "database/sql"},
	"internal/keyblob":  {"net/http", "os/exec", "database/sql"},
}

type pkg struct {
	ImportPath, Dir, Doc string
	Imports, Deps        []string
	GoFiles              []string

	TestImports, XTestImports []string
	TestGoFiles, XTestGoFiles []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list",
		"-json=ImportPath,Dir,Doc,Imports,Deps,GoFiles,TestImports,XTestImports,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 20 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		allowed, listed := ruleFor(room)
		if !listed && len(p.GoFiles) > 0 {
			t.Errorf("%s stands nowhere in the plan: add it to mayImport and to docs/ARCHITECTURE.md", room)
			continue
		}
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, module)
			if ours && !slices.ContainsFunc(allowed, func(a string) bool { return within(other, a) }) {
				t.Errorf("%s imports %s, which the plan does not allow", room, other)
			}
		}
	}
}

func TestNeverReach(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		for _, forbidden := range neverReach[strings.TrimPrefix(p.ImportPath, module)] {
			seen++
			for _, dep := range p.Deps {
				if strings.HasSuffix(forbidden, "/") && strings.HasPrefix(dep, forbidden) || within(dep, forbidden) {
					t.Errorf("%s reaches %s", p.ImportPath, dep)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no rule was tested")
	}
}

// TestOnlyTheEdgesKnowAWSTypes keeps the SDK's structs out of the inner rooms (design decision 1).
func TestOnlyTheEdgesKnowAWSTypes(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		if within(room, "internal/awsapi") || within(room, "internal/awswire") || within(room, "internal/testkit") ||
			within(room, "cmd/sallyport") || within(room, "bench") {
			continue
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "github.com/aws/") {
				t.Errorf("%s imports %s: AWS's types stay in awsapi and awswire", room, imported)
			}
		}
	}
}

// readsThePerson are the packages that read the user's home directory or environment, or start programs that do.
var readsThePerson = []string{
	"os/exec", "github.com/aws/aws-sdk-go-v2/config", "github.com/jackc/pgx/v5",
	module + "internal/awsprofile", module + "internal/testkit", module + "internal/db",
}

// TestTestsAreIsolated checks that tests that could read the tester's own files have a TestMain that prevents it.
func TestTestsAreIsolated(t *testing.T) {
	held := 0
	for _, p := range packages(t) {
		imports := slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		files := slices.Concat(p.TestGoFiles, p.XTestGoFiles)
		reads := slices.ContainsFunc(imports, func(i string) bool {
			return slices.ContainsFunc(readsThePerson, func(r string) bool { return within(i, r) })
		})
		if len(files) == 0 || !reads && !within(p.ImportPath, module+"internal/awsprofile") {
			continue
		}
		held++
		if !slices.ContainsFunc(files, func(name string) bool {
			text, _ := os.ReadFile(filepath.Join(p.Dir, name)) // "" if there is none
			return bytes.Contains(text, []byte("isolated.Run(m)")) || bytes.Contains(text, []byte("debian.Main(m)"))
		}) {
			t.Errorf("%s has tests that could read the tester's files: give it a TestMain with isolated.Run", p.ImportPath)
		}
	}
	if held < 10 {
		t.Errorf("only %d packages were found", held)
	}
}

func TestEveryRoomSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// TestRoomsStayTheirSize allows some more than the guide: a file of 600 lines or a package of 3,000 may be more than
// one concept.
func TestRoomsStayTheirSize(t *testing.T) {
	for _, p := range packages(t) {
		total := 0
		for _, name := range p.GoFiles {
			lines := countLines(t, filepath.Join(p.Dir, name))
			if strings.HasSuffix(name, "_gen.go") {
				continue
			}
			if lines > 600 {
				t.Errorf("%s/%s has %d lines", p.ImportPath, name, lines)
			}
			total += lines
		}
		if total > 3000 {
			t.Errorf("%s has %d lines", p.ImportPath, total)
		}
	}
}

// TestLinesOfGoEndInTime checks that no line of Go has more than 120 characters. A tab counts as one.
func TestLinesOfGoEndInTime(t *testing.T) {
	for path, text := range files(t, ".go", 100) {
		number := 0
		for line := range strings.Lines(text) {
			number++
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 120 {
				t.Errorf("%s:%d has %d characters", path, number, n)
			}
		}
	}
}

func ruleFor(room string) (allowed []string, ok bool) {
	best := ""
	for name := range mayImport {
		if within(room, name) && len(name) > len(best) {
			best = name
		}
	}
	return mayImport[best], best != ""
}

// within reports whether path is room or inside of it.
func within(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }

func countLines(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		n++
	}
	return n
}

// TestOneRuleFoldsKeys checks that the rooms that compare keys and names without regard to case do so only by
// policy.Fold. Two rules would differ for some character, and a key that a policy forbids would pass as another key.
func TestOneRuleFoldsKeys(t *testing.T) {
	another := regexp.MustCompile(`strings\.(EqualFold|ToLower|ToUpper)\(|unicode\.(ToLower|SimpleFold)\(|` +
		`\(\?i\)|(?i)\b(lower|upper)\([a-z$]|COLLATE +NOCASE|ILIKE`)
	may := map[string]string{
		"internal/policy/fold.go":        "the rule itself",
		"internal/policy/operator.go":    "values under StringEqualsIgnoreCase and Bool",
		"internal/policy/validate.go":    "capitals in a vendor's name are refused",
		"internal/awsapi/constraints.go": "the first letter of a field of Go",
	}
	for _, room := range []string{
		"policy", "gate", "iam", "resource", "hosts", "compute", "access", "db", "trail", "awsapi",
	} {
		err := filepath.WalkDir(room, func(path string, _ os.DirEntry, err error) error {
			if err != nil || strings.HasSuffix(path, "_test.go") || filepath.Ext(path) != ".go" && filepath.Ext(path) != ".sql" {
				return err
			}
			text, err := os.ReadFile(path)
			if found := another.Find(text); found != nil && may["internal/"+filepath.ToSlash(path)] == "" {
				t.Errorf("internal/%s compares by %s…: use policy.Fold", path, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOnlyTheGateWrites checks that only the gate opens write transactions: any other write would leave no event.
func TestOnlyTheGateWrites(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		if within(room, "internal/db") || within(room, "internal/gate") || within(room, "internal/controlplane") {
			continue
		}
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte("db.Writer")) || bytes.Contains(text, []byte("db.Open(")) {
				t.Errorf("%s/%s can write to the database: only the gate may, and the control plane at its start", room, name)
			}
		}
	}
}
