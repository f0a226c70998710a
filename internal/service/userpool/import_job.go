package userpool

import (
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

const (
	// importUploadLife is how long a job's address takes a file, importLife how long a job
	// can be started (developer guide, "Creating and running the user pool import job").
	importUploadLife = 15 * time.Minute
	importLife       = 24 * time.Hour

	sealImport = "userpool import address"

	importSucceeded = "Import Job Completed Successfully."
	importHopeless  = "Too many users have failed or been skipped during the import."
	importStopped   = "The Import Job was stopped by the developer."
	importExpired   = "The user import job has expired."
	importNoCSV     = "The CSV file could not be parsed."
)

// ImportJob makes users of the lines of a CSV file.
type ImportJob struct {
	Pool, ID, Name, Role              string
	CreatedAt, StartedAt, CompletedAt time.Time
	Status, Message                   string
	Imported, Skipped, Failed         int64
	Upload                            string   // whose parts are the file; "" before there is one
	Parts, Next                       int      // how many there are, and which comes next
	Columns                           []string // of the file
}

// ImportPart is some lines of an uploaded file. An upload that was never completed leaves
// parts that nobody reads; they expire.
type ImportPart struct {
	Pool, Job, Upload, Seq string
	First                  int // number of the first line in the file
	Lines                  []string
	ExpiresAt              time.Time
}

func newImportTable() *store.Table[ImportJob] {
	return store.NewTable(store.Schema[ImportJob]{
		Name: "userpool_import_jobs", Key: []string{"pool", "job"},
		KeyOf: func(j *ImportJob) []string { return []string{j.Pool, j.ID} },
		Indexes: []store.Index[ImportJob]{
			{Name: "created", Columns: []string{"of_pool", "created"}, Of: func(j *ImportJob) [][]string { return [][]string{{j.Pool, sortable(j.CreatedAt)}} }},
			{Name: "active", Columns: []string{"active", "since"}, Of: func(j *ImportJob) [][]string {
				if !j.active() {
					return nil
				}
				return [][]string{{"active", sortable(j.StartedAt)}}
			}},
		},
	})
}

func newPartTable() *store.Table[ImportPart] {
	return store.NewTable(store.Schema[ImportPart]{
		Name: "userpool_import_parts", Key: []string{"pool", "job", "upload", "seq"},
		KeyOf:   func(p *ImportPart) []string { return []string{p.Pool, p.Job, p.Upload, p.Seq} },
		Expires: func(p *ImportPart) time.Time { return p.ExpiresAt },
	})
}

// sortable is a time as text that sorts like times.
func sortable(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// active says whether the job has work to do.
func (j *ImportJob) active() bool {
	switch api.UserImportJobStatusType(j.Status) {
	case api.UserImportJobStatusTypePending, api.UserImportJobStatusTypeInProgress, api.UserImportJobStatusTypeStopping:
		return true
	}
	return false
}

// age gives a job that nobody started in time its last state.
func (j *ImportJob) age(now time.Time) {
	if until := j.CreatedAt.Add(importLife); j.Status == string(api.UserImportJobStatusTypeCreated) && !now.Before(until) {
		j.Status, j.Message, j.CompletedAt = string(api.UserImportJobStatusTypeExpired), importExpired, until
	}
}

// uploadable says whether the job still waits for its file.
func (j *ImportJob) uploadable(now time.Time) bool {
	return j.Status == string(api.UserImportJobStatusTypeCreated) && j.Upload == "" && now.Before(j.CreatedAt.Add(importUploadLife))
}

// describeImport is a job as the API shows it. The address is there as long as it can be used.
func (s *Service) describeImport(j *ImportJob) (*api.UserImportJobType, error) {
	j.age(s.time())
	out := &api.UserImportJobType{
		UserPoolId: &j.Pool, JobId: &j.ID, JobName: &j.Name, CloudWatchLogsRoleArn: &j.Role, CreationDate: &j.CreatedAt,
		Status: api.UserImportJobStatusType(j.Status), ImportedUsers: &j.Imported, SkippedUsers: &j.Skipped, FailedUsers: &j.Failed,
	}
	if j.Message != "" {
		out.CompletionMessage = &j.Message
	}
	if !j.StartedAt.IsZero() {
		out.StartDate = &j.StartedAt
	}
	if !j.CompletedAt.IsZero() {
		out.CompletionDate = &j.CompletedAt
	}
	if j.uploadable(s.time()) {
		address, err := s.importAddress(j)
		if err != nil {
			return nil, err
		}
		out.PreSignedUrl = wire.String(address)
	}
	return out, nil
}

// csvHeader names the columns of a pool's import file.
func (p *Pool) csvHeader() []string {
	out := []string{}
	for _, a := range p.Schema {
		if *a.Name != "sub" {
			out = append(out, *a.Name)
		}
	}
	return append(out, columnMFA, columnUsername)
}
