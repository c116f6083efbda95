/* Runs a DLC on the HTP of a phone or a board: raw files in, raw files out, and how long each inference took.
 *
 *     runner job.txt library-folder    or: runner --version
 *
 * It does what `snpe_tools/board/main.py` does where there is a Python, with libc and libdl alone. The layouts are
 * those of `snpe_tools/qnn/abi.py` (public QNN API reference; LP64); `devices/runtimes/native.py` writes the job.
 * Exit codes are those of `snpe_tools/core/errors.py`.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NO_SOC UINT64_MAX
enum { USAGE = 2, INPUT = 3, EXECUTION = 5, SETUP = 7, STORAGE = 8, MOST_GRAPHS = 64, MOST_TENSORS = 4096 };
enum { BACKEND_CREATE = 1, BUILD_ID = 4, CONTEXT_CREATE = 9, FROM_BINARY = 13, FINALIZE = 19, RETRIEVE = 20,
       EXECUTE = 21, LOG_CREATE = 25, INFRASTRUCTURE = 39, DEVICE_CREATE = 40, ERROR_MESSAGE = 48 };
enum { READER_CREATE = 0, GET_METADATA = 2, DLC_FROM_FILE = 8, COMPOSE = 10 };
enum { CORE_MAJOR = 2, CORE_MINOR = 40, CORE_POINTERS = 75, PATH_SIZE = 4096 };

typedef struct { uint32_t major, minor, patch; } Version;
typedef struct {
  uint32_t version, padding, id;
  const char *name;
  uint32_t type, format, data_type;
  struct { uint32_t definition, kind; uint64_t value[4]; } quantize;
  uint32_t rank, *dimensions, memory;
  struct { void *data; uint32_t size; } buffer;
  uint8_t tail[24];
} Tensor;
typedef struct {
  uint32_t version;
  const char *name;
  struct { uint32_t count; Tensor *tensors; } inputs, outputs;
  uint8_t tail[40];
} GraphInfo;
typedef struct {
  uint32_t version, skipped[23], graph_count;
  GraphInfo *graphs;
  uint32_t more[6], soc_model;
} BinaryInfo;
typedef struct { uint32_t id; const char *name; Version core, backend; void *functions[CORE_POINTERS]; } Interface;
typedef struct { uint32_t id; const char *name; Version version; void *functions[]; } SystemInterface;
typedef struct { uint32_t option; void *custom; } Config;
typedef struct { uint32_t option, padding, value; uint8_t tail[52]; } HtpConfig;
typedef struct { uint32_t version; const char *graph_name; const Config **configs; uint32_t count; } DlcGraphConfig;
typedef struct { uint32_t option, value[32]; } PowerConfig; /* value: one number, or the 16 of DCVS version 3 */
typedef struct {
  uint32_t type;
  uint64_t (*create)(uint32_t device, uint32_t core, uint32_t *id);
  uint64_t (*destroy)(uint32_t id);
  uint64_t (*set)(uint32_t id, const PowerConfig **configs);
} Infrastructure;
_Static_assert(sizeof(Tensor) == 144 && sizeof(GraphInfo) == 88 && sizeof(HtpConfig) == 64, "layout");
_Static_assert(offsetof(BinaryInfo, soc_model) == 136 && offsetof(Interface, functions) == 40, "layout");
_Static_assert(offsetof(SystemInterface, functions) == 32, "layout");

typedef struct { char *name; size_t size; void *data; } Slot; /* an input or output that the job names */
typedef struct {
  char *dlc, *folder, *token, *profile, *graphs[MOST_GRAPHS], **files;
  size_t graph_count, input_count, output_count, file_count, line_count;
  uint64_t cache_at, cache_size, soc, warm_up, repeat;
  uint64_t corner, latency, scaling, poll; /* snpe_tools/qnn/power.py says what they are; corner 0 sets nothing */
  Slot inputs[MOST_TENSORS], outputs[MOST_TENSORS];
} Job;

#define CORE(index, ...) ((uint64_t(*)(__VA_ARGS__))core[index])
#define SYSTEM(index, ...) ((uint64_t(*)(__VA_ARGS__))sys[index])
static void *const *core, *const *sys;
static const Interface *core_interface;
static void *log_handle, *backend, *device;
static char start_words[600] = "compiled";
static Job job;

static _Noreturn void fail(int code, const char *format, ...) {
  va_list arguments;
  fflush(stdout);
  fputs("error: ", stderr);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(code);
}

static void *memory(size_t count, size_t size) {
  void *made = calloc(count + !count, size + !size);
  if (!made) fail(STORAGE, "%zu x %zu bytes of memory are not there", count, size);
  return made;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static const char *words(uint64_t status) {
  const char *said = NULL;
  if (core[ERROR_MESSAGE]) CORE(ERROR_MESSAGE, uint64_t, const char **)(status, &said);
  return said ? said : "no description";
}

static void checked(const char *step, uint64_t status) {
  if (status)
    fail(EXECUTION, "%s: %s failed with error %u (%s)", job.dlc, step, (unsigned)(status & 0xFFFF), words(status));
}

static void log_line(const char *format, uint32_t level, uint64_t stamp, va_list arguments) {
  (void)stamp, (void)level;
  fputs("    ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
}

/* A whole file in memory, with a zero behind it. */
static char *read_file(const char *path, size_t *size) {
  struct stat about;
  int file = open(path, O_RDONLY);
  if (file < 0 || fstat(file, &about)) fail(INPUT, "%s cannot be read: %s", path, strerror(errno));
  char *data = memory((size_t)about.st_size + 1, 1);
  for (*size = 0; *size < (size_t)about.st_size;) {
    ssize_t come = read(file, data + *size, (size_t)about.st_size - *size);
    if (come <= 0) fail(INPUT, "%s cannot be read: %s", path, come ? strerror(errno) : "it became shorter");
    *size += (size_t)come;
  }
  close(file);
  return data;
}

static uint64_t number(const char *text, const char *word) {
  char *end = NULL;
  errno = 0;
  uint64_t value = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
  if (!end || *end || errno || value > INT64_MAX) fail(INPUT, "job: %s needs a number", word);
  return value;
}

static void add_slot(Slot *slots, size_t *count, const char *size, char *name) {
  if (!name || *count == MOST_TENSORS) fail(INPUT, "job: a tensor without a name, or too many");
  uint64_t bytes = number(size, name);
  if (bytes > UINT32_MAX) fail(INPUT, "job: %s is too large", name);
  slots[(*count)++] = (Slot){name, bytes, memory(bytes, 1)};
}

/* One line of the job: a word and its values, separated by tabs. */
static void read_line(char *word) {
  struct { const char *word; char **text; uint64_t *value; } known[] = {
      {"dlc", &job.dlc, 0}, {"folder", &job.folder, 0}, {"token", &job.token, 0}, {"profile", &job.profile, 0},
      {"soc", 0, &job.soc}, {"warm-up", 0, &job.warm_up}, {"repeat", 0, &job.repeat}, {"cache", 0, &job.cache_at},
      {"corner", 0, &job.corner}, {"latency", 0, &job.latency}, {"scaling", 0, &job.scaling}, {"poll", 0, &job.poll}};
  char *first = strchr(word, '\t'), *second = first ? strchr(first + 1, '\t') : NULL;
  if (!first) fail(INPUT, "job: %s has no value", word);
  *first++ = 0;
  if (second) *second++ = 0;
  if (!strcmp(word, "file")) job.files[job.file_count++] = first;
  else if (!strcmp(word, "input")) add_slot(job.inputs, &job.input_count, first, second);
  else if (!strcmp(word, "output")) add_slot(job.outputs, &job.output_count, first, second);
  else if (!strcmp(word, "graph") && job.graph_count < MOST_GRAPHS) job.graphs[job.graph_count++] = first;
  else {
    size_t index = 0, count = sizeof known / sizeof *known;
    while (index < count && strcmp(word, known[index].word)) index++;
    if (index == count) fail(INPUT, "job: %s is not known, or too many of it", word);
    if (known[index].text) *known[index].text = first;
    else *known[index].value = number(first, word);
    if (known[index].value == &job.cache_at) job.cache_size = number(second, word);
  }
}

static void read_job(const char *path) {
  size_t size, lines = 1;
  char *text = read_file(path, &size), *line, *rest = text;
  job.folder = "output", job.token = job.profile = "", job.soc = NO_SOC, job.repeat = 1;
  for (size_t place = 0; place < size; place++) lines += text[place] == '\n';
  job.files = memory(lines, sizeof(char *));
  line = strsep(&rest, "\n");
  if (strcmp(line, "snpe-tools job 1")) fail(INPUT, "%s is not a job of this runner", path);
  while ((line = strsep(&rest, "\n")))
    if (*line) read_line(line);
  if (!job.dlc || !job.input_count || !job.output_count) fail(INPUT, "%s lacks a DLC, an input or an output", path);
  if (job.file_count % job.input_count || (job.warm_up && !job.file_count))
    fail(INPUT, "%s: %zu files for %zu inputs", path, job.file_count, job.input_count);
  job.line_count = job.file_count / job.input_count;
}

static const void *provider(const char *folder, const char *library, const char *function) {
  char path[PATH_SIZE];
  uint32_t count = 0;
  const void **found = NULL;
  snprintf(path, sizeof path, "%s/%s", folder, library);
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) fail(SETUP, "%s cannot be loaded: %s", path, dlerror());
  uint64_t (*get)(const void ***, uint32_t *) = (uint64_t(*)(const void ***, uint32_t *))dlsym(handle, function);
  if (!get || get(&found, &count) || !count) fail(SETUP, "%s offers no interface", path);
  return found[0];
}

/* A null-terminated list of one custom configuration, as devices and graphs take it. */
static const Config **custom(uint32_t option, uint32_t value) {
  struct { HtpConfig htp; Config config; const Config *list[2]; } *made = memory(1, sizeof *made);
  made->htp.option = option, made->htp.value = value;
  made->config.custom = &made->htp;
  made->list[0] = &made->config;
  return made->list;
}

static void open_libraries(const char *folder) {
  const SystemInterface *system = provider(folder, "libQnnSystem.so", "QnnSystemInterface_getProviders");
  core_interface = provider(folder, "libQnnHtp.so", "QnnInterface_getProviders");
  sys = system->functions, core = core_interface->functions;
  const char *build = NULL;
  Version at = core_interface->core;
  if (core[BUILD_ID]) CORE(BUILD_ID, const char **)(&build);
  printf("runner " VERSION ", QNN core API %u.%u.%u, backend %s\n", at.major, at.minor, at.patch, build ? build : "?");
  const Config **soc = job.soc == NO_SOC ? NULL : custom(0, (uint32_t)job.soc);
  checked("logCreate", CORE(LOG_CREATE, void *, uint32_t, void **)((void *)log_line, 1, &log_handle));
  checked("backendCreate", CORE(BACKEND_CREATE, void *, const Config **, void **)(log_handle, NULL, &backend));
  checked("deviceCreate", CORE(DEVICE_CREATE, void *, const Config **, void **)(log_handle, soc, &device));
}

/* The performance profile: a voltage corner of bus and core, how soon the NPU may sleep, how the CPU waits for it. */
static void set_power(void) {
  const Infrastructure *found = NULL;
  uint32_t id = 0, corner = (uint32_t)job.corner, scaling = job.scaling != 0;
  if (!corner) return;
  uint64_t status = core[INFRASTRUCTURE] ? CORE(INFRASTRUCTURE, const Infrastructure **)(&found) : 1;
  if (status || !found || !found->create || found->create(0, 0, &id))
    fail(EXECUTION, "%s: this device sets no performance profile, and %s was asked for", job.dlc, job.profile);
  PowerConfig dcvs = {1, {id, 1, scaling, scaling ? 1 : 16, 1, (uint32_t)job.latency, 1, !scaling,
                          1, corner, corner, corner, 1, corner, corner, corner}};
  PowerConfig latency = {2, {100}}, polling = {3, {(uint32_t)job.poll}};
  const PowerConfig *all[] = {&dcvs, &latency, job.poll ? &polling : NULL, NULL};
  checked("setPowerConfig", found->set(id, all));
}

/* A context from the part of the DLC that holds a compiled one; NULL, and why, where it cannot be used. */
static void *load_cache(const GraphInfo **graphs, uint32_t *count) {
  struct stat about;
  void *reader = NULL, *context = NULL;
  const BinaryInfo *info = NULL;
  int file = open(job.dlc, O_RDONLY);
  if (file < 0 || fstat(file, &about)) fail(INPUT, "%s cannot be read: %s", job.dlc, strerror(errno));
  if (job.cache_at > (uint64_t)about.st_size || job.cache_size > (uint64_t)about.st_size - job.cache_at)
    fail(INPUT, "%s ends before its cache does; it was cut off on the way: push it again", job.dlc);
  char *all = mmap(NULL, (size_t)about.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (all == MAP_FAILED) fail(INPUT, "%s cannot be mapped: %s", job.dlc, strerror(errno));
  void *blob = all + job.cache_at;
  checked("systemContextCreate", SYSTEM(READER_CREATE, void **)(&reader));
  const char *step = "read cache";
  uint64_t status =
      SYSTEM(GET_METADATA, void *, void *, uint64_t, const BinaryInfo **)(reader, blob, job.cache_size, &info);
  if (!status && info->version != 3) step = "its description is of an unknown version", status = 1;
  if (!status && job.soc != NO_SOC && info->soc_model != job.soc) step = "it is for another SoC", status = 1;
  if (!status)
    step = "load cache", status = CORE(FROM_BINARY, void *, void *, void *, void *, uint64_t, void **, void *)(
                             backend, device, NULL, blob, job.cache_size, &context, NULL);
  if (status) {
    snprintf(start_words, sizeof start_words, "compiled, since its cache cannot be used: %s: error %u (%s)", step,
             (unsigned)(status & 0xFFFF), words(status));
    return NULL;
  }
  *graphs = info->graphs, *count = info->graph_count;
  strcpy(start_words, "cache");
  return context;
}

/* A context from the DLC's graphs; float ones are computed in 16 bits. */
static void *compose(const GraphInfo **graphs, uint32_t *count) {
  void *context = NULL, *dlc = NULL;
  Version at = core_interface->core;
  if (at.major != CORE_MAJOR || at.minor != CORE_MINOR)
    fail(SETUP, "libQnnHtp.so has QNN core API %u.%u; this runner composes graphs with %u.%u. Use the runtime that was "
         "pushed with it, or a DLC with a cache for this SoC", at.major, at.minor, CORE_MAJOR, CORE_MINOR);
  checked("contextCreate", CORE(CONTEXT_CREATE, void *, void *, void *, void **)(backend, device, NULL, &context));
  uint64_t status = SYSTEM(DLC_FROM_FILE, void *, const char *, void **)(log_handle, job.dlc, &dlc);
  if (status) fail(INPUT, "%s: the QNN library cannot read it (error %u)", job.dlc, (unsigned)(status & 0xFFFF));
  DlcGraphConfig **configs = memory(job.graph_count, sizeof *configs);
  for (size_t index = 0; index < job.graph_count; index++) {
    configs[index] = memory(1, sizeof **configs);
    *configs[index] = (DlcGraphConfig){1, job.graphs[index], custom(2, 1), 1};
  }
  checked("compose", SYSTEM(COMPOSE, void *, DlcGraphConfig **, uint32_t, void *, void *, Interface, uint32_t,
                            const GraphInfo **, uint32_t *)(
      dlc, configs, (uint32_t)job.graph_count, backend, context, *core_interface, 3, graphs, count));
  return context;
}

/* The graph's tensors, each with the memory of the slot that has its name; two of one name in the graph's order. */
static Tensor *bind(const Tensor *tensors, uint32_t count, const Slot *slots, size_t slot_count, int inputs) {
  Tensor *bound = memory(count, sizeof *bound);
  char *taken = memory(slot_count, 1);
  for (uint32_t index = 0; index < count; index++) {
    size_t slot = 0, size = 8; /* no type is wider than eight bytes */
    while (slot < slot_count && (taken[slot] || strcmp(slots[slot].name, tensors[index].name))) slot++;
    if (slot == slot_count && inputs)
      fail(INPUT, "%s: its graph takes an input '%s' that the job does not name", job.dlc, tensors[index].name);
    for (uint32_t axis = 0; axis < tensors[index].rank; axis++) size *= tensors[index].dimensions[axis];
    bound[index] = tensors[index];
    bound[index].memory = 0;
    bound[index].buffer.size = (uint32_t)(slot < slot_count ? slots[slot].size : size);
    bound[index].buffer.data = slot < slot_count ? slots[slot].data : memory(size, 1);
    if (slot < slot_count) taken[slot] = 1;
  }
  for (size_t slot = 0; slot < slot_count; slot++)
    if (!taken[slot]) fail(INPUT, "%s: its graph has no tensor '%s'", job.dlc, slots[slot].name);
  return bound;
}

static void read_inputs(size_t line) {
  for (size_t index = 0, size; index < job.input_count; index++) {
    const char *path = job.files[line * job.input_count + index];
    const Slot *slot = &job.inputs[index];
    char *data = read_file(path, &size);
    if (size != slot->size) fail(INPUT, "%s has %zu bytes; input '%s' needs %zu", path, size, slot->name, slot->size);
    memcpy(slot->data, data, size);
    free(data);
  }
}

static void write_file(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(data, 1, size, file) != size || fclose(file))
    fail(STORAGE, "%s cannot be written: %s", path, strerror(errno));
}

static void write_results(size_t line) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/Result_%zu", job.folder, line);
  if (mkdir(path, 0777)) fail(STORAGE, "%s cannot be made: %s", path, strerror(errno));
  for (size_t index = 0; index < job.output_count; index++) {
    snprintf(path, sizeof path, "%s/Result_%zu/%zu.raw", job.folder, line, index);
    write_file(path, job.outputs[index].data, job.outputs[index].size);
  }
}

/* The record that the host reads; it says whose results these are. */
static void write_record(double init, const double *times, size_t count) {
  char path[PATH_SIZE], *text = memory(count + 64, 32), *end = text;
  for (unsigned char *letter = (unsigned char *)start_words; *letter; letter++)
    if (*letter == '"' || *letter == '\\' || *letter < ' ' || *letter > '~') *letter = '\'';
  end += sprintf(end, "{\"token\": \"%.200s\", \"start\": \"%s\", \"init\": %.9f, \"seconds\": [", job.token,
                 start_words, init);
  for (size_t index = 0; index < count; index++) end += sprintf(end, "%s%.9f", index ? ", " : "", times[index]);
  end += sprintf(end, "]}\n");
  snprintf(path, sizeof path, "%s/timings.json", job.folder);
  write_file(path, text, (size_t)(end - text));
}

static void run_all(void *graph, Tensor *in, uint32_t inputs, Tensor *out, uint32_t outputs, double init) {
  size_t total = job.warm_up + job.repeat * job.line_count, timed = 0;
  double *times = memory(total, sizeof *times);
  for (size_t turn = 0; turn < total; turn++) {
    size_t line = turn < job.warm_up ? 0 : (turn - job.warm_up) % job.line_count;
    read_inputs(line);
    double began = seconds();
    uint64_t status = CORE(EXECUTE, void *, const Tensor *, uint32_t, Tensor *, uint32_t, void *, void *)(
        graph, in, inputs, out, outputs, NULL, NULL);
    double took = seconds() - began;
    checked("execute", status);
    if (turn < job.warm_up) continue;
    times[timed++] = took;
    if (turn - job.warm_up < job.line_count) write_results(line);
    printf("done %zu\n", line);
    fflush(stdout);
  }
  write_record(init, times, timed);
}

int main(int count, char **arguments) {
  if (count == 2 && !strcmp(arguments[1], "--version")) return puts("snpe-tools runner " VERSION) < 0;
  if (count != 3) fail(USAGE, "usage: runner job.txt library-folder");
  double began = seconds();
  read_job(arguments[1]);
  open_libraries(arguments[2]);
  set_power();
  uint32_t graph_count = 0;
  const GraphInfo *graphs = NULL;
  void *graph = NULL, *context = job.cache_size ? load_cache(&graphs, &graph_count) : NULL;
  int compiled = !context;
  if (!context) context = compose(&graphs, &graph_count);
  if (graph_count != 1) fail(INPUT, "%s holds %u graphs; this runner runs files with one", job.dlc, graph_count);
  checked("graphRetrieve", CORE(RETRIEVE, void *, const char *, void **)(context, graphs->name, &graph));
  if (compiled) checked("finalize", CORE(FINALIZE, void *, void *, void *)(graph, NULL, NULL));
  Tensor *in = bind(graphs->inputs.tensors, graphs->inputs.count, job.inputs, job.input_count, 1);
  Tensor *out = bind(graphs->outputs.tensors, graphs->outputs.count, job.outputs, job.output_count, 0);
  printf("graph: %s\n", start_words);
  fflush(stdout);
  if (mkdir(job.folder, 0777) && errno != EEXIST) fail(STORAGE, "%s cannot be made: %s", job.folder, strerror(errno));
  run_all(graph, in, graphs->inputs.count, out, graphs->outputs.count, seconds() - began);
  return puts("Successfully executed!") < 0;
}
