# Every host: its own keys, names, and root by key. Runs inside; KEY and NET come from lab.sh.
rm -f /etc/ssh/ssh_host_*
ssh-keygen -A
install -d -m 0700 /root/.ssh
echo "$KEY" >/root/.ssh/authorized_keys
cat >/etc/hosts <<HOSTS
127.0.0.1 localhost
::1 localhost
$NET.10 plesk plesk.lab.test
$NET.20 mysql mysql.lab.test
$NET.30 pg pg.lab.test
HOSTS
systemctl disable --now mariadb postgresql postgresql@15-main nginx php8.2-fpm || true
systemctl restart ssh

# mariadb_database NAME PASSWORD USED_FROM: as a panel makes it, with rows to lose
mariadb_database() {
  mariadb <<SQL
CREATE DATABASE mo_$1;
CREATE USER 'svc_$1'@'$3' IDENTIFIED BY '$2';
GRANT ALL ON mo_$1.* TO 'svc_$1'@'$3';
USE mo_$1;
CREATE TABLE person (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(60) NOT NULL, town VARCHAR(40)) ENGINE=InnoDB;
CREATE TABLE entry (id INT PRIMARY KEY AUTO_INCREMENT, person_id INT NOT NULL, amount DECIMAL(9,2), note TEXT,
  FOREIGN KEY (person_id) REFERENCES person (id)) ENGINE=InnoDB;
INSERT INTO person (name, town) SELECT CONCAT('person ', seq), CONCAT('town ', seq % 50) FROM seq_1_to_2000;
INSERT INTO entry (person_id, amount, note) SELECT 1 + seq % 2000, seq / 7, REPEAT('x', 80) FROM seq_1_to_10000;
CREATE VIEW large AS SELECT p.name, e.amount FROM entry e JOIN person p ON p.id = e.person_id WHERE e.amount > 500;
CREATE PROCEDURE number_of_entries() SELECT COUNT(*) FROM entry;
SQL
}

# mariadb_trigger NAME: as CiviCRM has many; n8n and Nextcloud have none
mariadb_trigger() {
  mariadb "mo_$1" -e 'CREATE TRIGGER no_null BEFORE INSERT ON entry FOR EACH ROW SET NEW.amount = IFNULL(NEW.amount, 0)'
}

# mariadb_maintenance PASSWORD USED_FROM: the account that backs up and restores
mariadb_maintenance() {
  mariadb -e "CREATE USER 'fairlead'@'$2' IDENTIFIED BY '$1'; GRANT ALL ON *.* TO 'fairlead'@'$2' WITH GRANT OPTION"
}
