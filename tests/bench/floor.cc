// The least that starting a process costs: an empty static program, the floor under every client.
int main() {}
